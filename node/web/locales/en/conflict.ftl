# conflicts
conflicts-title = Conflicts
conflicts-lead = While a link was down, two people changed the same field. Both values are kept. Choose one; your choice is signed.
conflicts-none = There is nothing to settle.
conflicts-none-how = If two people change the same field while a link is down, it is listed here for you to choose.
conflict-badge = Conflict
conflict-why = This was changed by two people at the same time. Choose the right value.
conflict-choose = Choose this
conflict-before = Before
conflict-settled = Settled and saved.
