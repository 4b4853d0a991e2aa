"""What touches the operating system and the terminal: a run's context, files, processes, signals, progress lines, printed tables.

Imports `mechanisms.validation` alone.
"""
