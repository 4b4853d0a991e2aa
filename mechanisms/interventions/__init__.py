"""Changes made to a training on purpose, to learn what kills features: each is a small part of a spec, and they combine.

They mean the same in a network (`full_scale`) and in the layer model (`toy`): each is written once, in terms of `treated`, what
it is given to act on. To add one: a final class below `AbstractIntervention` in a module of this package.
"""

from mechanisms.interventions.base import AbstractIntervention
from mechanisms.interventions.constraints import ClampNorm, Freeze, Slow
from mechanisms.interventions.gradients import Gate
from mechanisms.interventions.optimization import DecayOnly, ScaleSecondMoment, Switch
from mechanisms.interventions.rescaling import Rescale
from mechanisms.interventions.selections import AbstractSelection, All, ByScale, BySelectivity, Random

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
    "Slow",
    "Switch",
]
