"""Measures: functions from tables of features to numbers (sparsity, selectivity, forces, criteria, rankings, statistics).

Imports `law` and, for predictions of scale, `theory`; it reads no files.
"""
