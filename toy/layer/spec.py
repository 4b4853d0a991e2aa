"""`LayerSpec`: all that decides a result of the layer model but the seed."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from mechanisms.interventions import AbstractIntervention
from mechanisms.law.regularizers import L2, AbstractRegularizer
from mechanisms.law.schedules import AbstractSchedule, Stepwise
from mechanisms.law.torch_rules import TorchRule
from mechanisms.law.update_rules import AbstractUpdateRule, Adam
from mechanisms.validation import require, require_above, require_at_least, require_choice, require_whole
from toy.spec import DTYPES

NEGATIVE_SLOPES = {"relu": 0.0, "leaky_relu": 0.01}
"""Activation → its slope below 0."""
DECAYED = ("incoming", "scale", "outgoing")
"""What the regularizer may act on; the shift goes with the scale. Gain and offset of the outputs are never decayed."""
WHOLE = ("inputs", "features", "teacher_features", "outputs", "exemplars", "steps", "records", "replicates")


@dataclass(frozen=True, kw_only=True)
class LayerSpec:
    """A layer of features that learns from a teacher of the same kind, in independent replicates.

    With inputs z ~ N(0, 1), feature k is h_k = φ(γ_k x̂_k + β_k), where x̂_k is w_k·z normalized over the batch; output m is
    g_m ô_m + c_m, where ô_m is Σ_k v_km h_k normalized likewise; the loss is half the mean squared error. At the start
    w ~ N(0, 1/inputs), γ = 1, β = 0, v ~ N(0, 1/features), g = 1, c = 0. All settings of a seed share its draws, as far as their
    shapes agree, and the first replicates of many are those of few.

    Attributes:
        teacher_features: units of the teacher: unit directions, shifts N(0, teacher_spread²), outgoing N(0, 1/teacher_features).
        batch_size: exemplars drawn for each step, with repetition; all of them, once each, where it is `exemplars`.
        label_noise: standard deviation of what is added to the targets, which are standardized before.
        feature_normalization, output_normalization: whether x̂ and ô are normalized, else they are w·z and Σ v h themselves.
        decayed: which of incoming weights, scale (with shift) and outgoing weights the regularizer acts on.
        interventions: change the training on purpose (`mechanisms.interventions`), each from the moment when its `step` updates
            are done, in the order given; the `features` then say which features are treated.
        records: the start and this many evenly spaced steps are recorded, the last always.
    """

    inputs: int = 16
    features: int = 32
    teacher_features: int = 6
    outputs: int = 8
    exemplars: int = 1000
    batch_size: int = 40
    label_noise: float = 0.3
    teacher_spread: float = 0.3
    activation: str = "relu"
    batchnorm_epsilon: float = 1e-5
    feature_normalization: bool = True
    output_normalization: bool = True
    rule: AbstractUpdateRule = field(default_factory=lambda: Adam(beta2=0.99))
    regularizer: AbstractRegularizer = field(default_factory=lambda: L2(strength=3e-3))
    learning_rate: float = 1e-2
    schedule: AbstractSchedule = field(default_factory=Stepwise)
    steps: int = 1500
    decayed: tuple[str, ...] = DECAYED
    interventions: tuple[AbstractIntervention, ...] = ()
    records: int = 10
    replicates: int = 64
    dtype: str = "float64"

    def __post_init__(self) -> None:
        for name in WHOLE:
            require_whole(name, getattr(self, name), 1)
        require_whole("batch_size", self.batch_size, 2, self.exemplars)
        for name in ("label_noise", "teacher_spread"):
            require_at_least(name, getattr(self, name), 0)
        require_choice("activation", self.activation, tuple(NEGATIVE_SLOPES))
        for name in ("batchnorm_epsilon", "learning_rate"):
            require_above(name, getattr(self, name), 0)
        for name in ("feature_normalization", "output_normalization"):
            require_choice(name, getattr(self, name), (True, False))
        for part in self.decayed:
            require_choice("decayed", part, DECAYED)
        require_choice("dtype", self.dtype, DTYPES)
        for number, one in enumerate(self.interventions):
            require_whole(f"interventions.{number}.step", one.step, 0, self.steps - 1)
        own = not isinstance(self.rule, TorchRule)
        require(own, "rule", getattr(self.rule, "path", ""), "a rule of this package: the layer model does not run torch's")
        object.__setattr__(self, "decayed", tuple(part for part in DECAYED if part in self.decayed))

    def recorded_steps(self) -> np.ndarray:
        """The numbers of updates done at each record, from 0 to `steps`.

        >>> LayerSpec(steps=100, records=4).recorded_steps().tolist()
        [0, 25, 50, 75, 100]
        """
        return np.unique(np.linspace(0, self.steps, self.records + 1).round().astype(np.int64))
