"""One module a figure: a docstring whose first line is the caption's title, `NEEDS`, and `draw`, one table for each need."""
