"""Exact removal of dead filters: an audit of any network, and a smaller one that computes the same function, with proof."""

from full_scale.removal.during_training.shrinker import Shrinker
from full_scale.removal.during_training.smaller_copy import shrink_training
from full_scale.removal.files.saving import load, save
from full_scale.removal.onnx.building import read_onnx
from full_scale.removal.onnx.entry import audit_onnx, shrink_onnx
from full_scale.removal.pruning import Pruner, prune
from full_scale.removal.report import Audit, Report
from full_scale.removal.shrinking import audit, shrink

__all__ = [
    "Audit",
    "Pruner",
    "Report",
    "Shrinker",
    "audit",
    "audit_onnx",
    "load",
    "prune",
    "read_onnx",
    "save",
    "shrink",
    "shrink_onnx",
    "shrink_training",
]
