# villages
villages-title = Villages
villages-name = Village
villages-link = Link
villages-last = Last seen to be equal
villages-pending = To be sent
villages-records = Records
villages-open = Open
villages-plate = Plate
villages-print = Print the plate
coverage = Data of { $k } of { $n } villages is here; the oldest is of { $as }.

# county
overview-title = Overview of { $place }
overview-records = Records
overview-tickets = Tickets
overview-cases = Tickets in detail
overview-place = Place
overview-total = Total
wall-show = Show on a wall screen
wall-leave = Leave the wall screen
tile-records = records
tile-records-at-least = records, at least
tile-tickets = tickets
tile-open = open
tile-overdue = overdue
rate-total = Reported
rate-open = Open
rate-overdue = Overdue
rate-reply = Reply
rate-completion = Completion
rate-satisfaction = Satisfaction
definitions-title = Definitions

# figures of people that are not told in full
figure-note = One or two records in a place could point at people, so they are not told. Where a sum holds such a number, it says "at least": what is told, and one for each place that is not. The same sum is told on every page, so nothing comes out by subtracting one from another.
