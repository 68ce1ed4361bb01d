"""Portfolio margin: floats before the sequencer, integers after it.

`pricing`, `surface`, `market`, `scenarios`, `risk_arrays` and `report` work in floats and run in
the marks loop or on request. `marks`, `portfolio`, `account`, `remargin` and `merkle` are integers
alone, know nothing of the others, and are all that the engine sees.
"""
