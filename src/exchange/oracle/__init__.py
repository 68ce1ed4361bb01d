"""From sources of prices to journaled risk arrays: the floats of the venue end here (design.md §7).

`loop` runs the cycle; `index` guards it; `marks` turns index and surface into integers.
"""
