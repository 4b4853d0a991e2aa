"""What touches the operating system and the terminal: files, processes, signals, progress lines, printed tables.

Imports `mechanisms.validation` alone.
"""
