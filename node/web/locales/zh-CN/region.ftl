# villages
villages-title = 各村
villages-name = 村
villages-link = 连接
villages-last = 上次核对一致
villages-pending = 待下发
villages-records = 档案
villages-open = 未办结
villages-plate = 门牌
villages-print = 打印门牌
coverage = 已收到 { $k }/{ $n } 个村的数据，其中最旧的是 { $as } 的。

# county
overview-title = { $place } 总览
overview-records = 档案（条）
overview-tickets = 工单
overview-cases = 工单明细
overview-place = 地区
overview-total = 合计
wall-show = 大屏显示
wall-leave = 退出大屏
tile-records = 档案
tile-records-at-least = 档案（至少）
tile-tickets = 工单
tile-open = 未办结
tile-overdue = 已超时
rate-total = 上报
rate-open = 未办结
rate-overdue = 超时
rate-reply = 回复率
rate-completion = 办结率
rate-satisfaction = 满意率
definitions-title = 指标口径

# figures of people that are not told in full
figure-note = 一个地方只有一两条档案时，容易看出是谁，所以不显示具体数字。合计里含有这样的数字时写“至少”：已公开的数字，加上每个未公开的地方各算一条。每个页面的合计都这样算，相减也推不出来。
