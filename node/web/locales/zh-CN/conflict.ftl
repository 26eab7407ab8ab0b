# conflicts
conflicts-title = 待核对
conflicts-lead = 断网期间，两个人改了同一处。两个值都保留着，请您选定一个；您的选择会签名记录。
conflicts-none = 没有待核对的内容。
conflicts-none-how = 断网期间如果有两个人改了同一处，会列在这里，请您选定。
conflict-badge = 待核对
conflict-why = 有人同时改了这一处，请选定正确的值。
conflict-choose = 选定这个
conflict-before = 原来是
conflict-settled = 已选定并保存。
