"""What touches the operating system and the terminal: where a run computes, files, processes, signals, progress lines, printed tables.

Imports `mechanisms.validation` alone.
"""
