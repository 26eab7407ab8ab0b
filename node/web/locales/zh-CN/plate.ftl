# plates
plates-title = 数字门牌
plates-lead = 按实际大小打印（570×370、270×170 或 150×90 毫米），贴在门口显眼处。
plates-code = 地址码
plates-code-hint = 多个地址码用逗号隔开。
plates-show = 生成门牌
plates-bad-code = “{ $code }”不是村级以下的地址码。
plates-alt = 门牌 { $code }
plate-call = 扫码办事 · 查询进度
plate-hotline = 服务热线 6310000
