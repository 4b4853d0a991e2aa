"""Sweeps: many runs shared out to worker processes, resumed after interruptions, with a lock file for each run under way.

Imports `records` and `system`.
"""
