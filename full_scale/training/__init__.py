"""One training: its spec, loop, optimizer, batches, checkpoints, and the devices and processes it runs on.

Imports `mechanisms`, `data`, `models`, `hooks` and `measure`.
"""
