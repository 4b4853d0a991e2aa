"""What records say, by name: the quantities that hypotheses predict.

Imports `mechanisms.law`, `mechanisms.measures`, `mechanisms.theory` and `mechanisms.records`; no hypothesis.
"""
