"""The command line that all packages share, and the verbs that every suite of experiments has.

Imports `records`, `sweeps` and `system`.
"""
