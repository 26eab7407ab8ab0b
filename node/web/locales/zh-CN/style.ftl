# the page /style
style-title = 页面样式
style-lead = 每个页面都用这里的部件搭成。写页面的人在这里看全部部件；用页面的人不需要它。
style-light = 标准
style-elder = 大字版
style-wall = 大屏
style-state = 状态
style-list = 列表
style-table = 表格
style-form = 表单
style-say = 提示
style-sample-text = 村东头第二排的路灯坏了三天，晚上老人出门看不见
style-sample-place = 高城镇 苑兴村
style-sample-name = 王秀英
style-sample-step = 已联系电工，明天上午更换
