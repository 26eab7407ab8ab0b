# plates
plates-title = Door plates
plates-lead = Print at 570×370, 270×170 or 150×90 mm and put it up where it is seen.
plates-code = Address codes
plates-code-hint = Separate several with commas.
plates-show = Show plates
plates-bad-code = "{ $code }" is not the code of a village or below.
plates-alt = Plate { $code }
plate-call = Scan for village services
plate-hotline = Hotline 6310000
