"""The changes that can be made to a training on purpose: those of `mechanisms.interventions`, which the layer model has too."""

from mechanisms.interventions import *  # noqa: F403
from mechanisms.interventions import __all__ as __all__
