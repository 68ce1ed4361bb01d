"""From sources of prices to journaled risk arrays: floats end here (docs/oracle.md).

`loop` runs the cycle; `index` guards it; `marks` turns index and surface into integers.
"""
