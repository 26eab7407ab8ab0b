# the page /style
style-title = Style
style-lead = Every page is made of the parts that stand here. It is for those who write pages; those who use them need it not.
style-light = Usual
style-elder = Larger type
style-wall = Wall screen
style-state = States
style-list = Lists
style-table = Tables
style-form = Forms
style-say = Notices
style-sample-text = The street lamp in the second row has been out for three days; old people see nothing at night
style-sample-place = Gaocheng, Yuanxing
style-sample-name = Wang Xiuying
style-sample-step = The electrician has been called and comes tomorrow morning
