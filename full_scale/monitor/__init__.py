"""`SparsityMonitor`: forces, budgets and silent features of a network in somebody else's training loop.

Imports `measure`, `models` and `mechanisms`.
"""

from full_scale.monitor.sparsity_monitor import SparsityMonitor

__all__ = ["SparsityMonitor"]
