"""What accompanies a training step: interventions, sparsifiers, cuts of dead filters, and the parts of a filter that they act on.

Imports `mechanisms`, `full_scale.models`, `full_scale.measure` and `full_scale.removal`.
"""
