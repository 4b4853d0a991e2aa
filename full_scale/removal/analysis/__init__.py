"""What a traced network computes: its graph, which channels go together, and which values are constant.

Imports `mechanisms.validation` and `full_scale.models.parts.wrappers` alone.
"""
