"""Changes made to a training on purpose, to learn what kills filters: each is a small part of a `TrainSpec`, and they combine.

To add one: a final class below `AbstractIntervention` in a module of this package. Import torch inside functions only.
"""

from full_scale.hooks.interventions.base import AbstractIntervention
from full_scale.hooks.interventions.constraints import ClampNorm, Freeze
from full_scale.hooks.interventions.gradients import Gate
from full_scale.hooks.interventions.optimization import DecayOnly, ScaleSecondMoment, Switch
from full_scale.hooks.interventions.rescaling import Rescale
from full_scale.hooks.interventions.selections import AbstractSelection, All, ByScale, BySelectivity, Random

__all__ = [
    "AbstractIntervention",
    "AbstractSelection",
    "All",
    "ByScale",
    "BySelectivity",
    "ClampNorm",
    "DecayOnly",
    "Freeze",
    "Gate",
    "Random",
    "Rescale",
    "ScaleSecondMoment",
    "Switch",
]
