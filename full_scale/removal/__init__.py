"""Exact removal of dead filters: an audit of any network, and a smaller one that computes the same function, with proof."""

from full_scale.removal.files.saving import load, save
from full_scale.removal.pruning import Pruner, prune, shrink_training
from full_scale.removal.report import Audit, Report
from full_scale.removal.shrinking import audit, shrink

__all__ = ["Audit", "Pruner", "Report", "audit", "load", "prune", "save", "shrink", "shrink_training"]
