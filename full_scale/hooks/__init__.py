"""What accompanies a training step: interventions, sparsifiers, and the parts of a filter that they act on.

Imports `mechanisms`, `full_scale.models` and `full_scale.measure`.
"""
