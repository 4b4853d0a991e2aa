"""The law of one step: update rules, regularizers, schedules, and how they combine, defined once for every backend.

Imports `mechanisms.validation` alone, and no array library but NumPy at import.
"""
