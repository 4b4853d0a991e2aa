"""Gradient models: what a single feature's loss gradient looks like.

A model is a frozen dataclass whose fields are settings, and one plain function, `slope`, that gives the loss gradient of
each of its parameters from (parameters, normal noise, visits, step, settings), element by element: the same function runs
on NumPy arrays and compiled. To add a model: one class here.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mechanisms.law.arrays import Array, sqrt, where
from mechanisms.validation import require, require_above, require_at_least, require_whole

Parameters = tuple[Array, ...]
Settings = tuple[Array, ...]
Fields = Mapping[str, np.ndarray]


class AbstractGradient(abc.ABC):
    """What every gradient model provides; `name` is what a user types, `parameters` names what a feature consists of.

    A parameter beside the scale starts from the field `initial_PARAMETER`.
    """

    name: ClassVar[str]
    parameters: ClassVar[tuple[str, ...]] = ("scale",)

    @staticmethod
    @abc.abstractmethod
    def slope(parameters: Parameters, normal: Array, visits: Array, step: Array, settings: Settings) -> Parameters:
        """The loss gradient of each parameter.

        `normal` ~ N(0, 1); `visits` ~ Binomial(trials, probability) of `visit_law`, else 0; `step` counts from 0.
        """

    @staticmethod
    @abc.abstractmethod
    def settings(fields: Fields) -> Settings:
        """What `slope` needs, from the fields of the model (each an array over settings)."""

    @classmethod
    def initial(cls, fields: Fields, initial_scale: np.ndarray) -> Parameters:
        """Where each parameter starts: the scale from the spec, the others from the field `initial_PARAMETER`."""
        return initial_scale, *(fields[f"initial_{name}"] for name in cls.parameters[1:])

    @staticmethod
    def product(parameters: Parameters) -> Array:
        """What a feature does: its scale times its outgoing weight; the scale where it has no outgoing weight."""
        return parameters[0]

    @staticmethod
    def visit_law(fields: Fields) -> tuple[np.ndarray, np.ndarray] | None:
        """(trials, probability) of the visits of one step, arrays over settings; None for a model without visits."""
        return None

    def active_share(self, fields: Fields, steps: int) -> np.ndarray:
        """The fraction of steps with non-zero gradient, (settings,), for a model without visits (those are counted)."""
        return np.ones(len(next(iter(fields.values()))))


def _require_probability(field: str, value: float) -> None:
    require(isinstance(value, int | float) and 0 <= value <= 1, field, value, "a probability in [0, 1]")


@dataclass(frozen=True, kw_only=True)
class LowGradient(AbstractGradient):
    """Pure noise, g ~ N(0, sigma²), after `initial_steps` steps with the larger `initial_sigma`.

    The transition into the low-gradient regime in the style of the scalar experiment of Mehta, Kim and Theobalt, CVPR
    2019; its exact parameters are recollected, not verified.
    """

    name: ClassVar[str] = "low_gradient"
    sigma: float = 1e-5
    initial_sigma: float = 1e-3
    initial_steps: int = 100

    def __post_init__(self) -> None:
        require_at_least("sigma", self.sigma, 0)
        require_at_least("initial_sigma", self.initial_sigma, 0)
        require_at_least("initial_steps", self.initial_steps, 0)

    @staticmethod
    def slope(parameters: Parameters, normal: Array, visits: Array, step: Array, settings: Settings) -> Parameters:
        """sigma(step) · normal."""
        sigma, initial_sigma, initial_steps = settings
        return (where(step < initial_steps, initial_sigma, sigma) * normal,)

    @staticmethod
    def settings(fields: Fields) -> Settings:
        """sigma, initial_sigma, initial_steps."""
        return fields["sigma"], fields["initial_sigma"], fields["initial_steps"]


@dataclass(frozen=True, kw_only=True)
class Dead(AbstractGradient):
    """A feature that fell silent: gradient noise N(0, sigma²) for `alive_steps` steps, exactly zero ever after."""

    name: ClassVar[str] = "dead"
    sigma: float = 1e-2
    alive_steps: int = 0

    def __post_init__(self) -> None:
        require_at_least("sigma", self.sigma, 0)
        require_at_least("alive_steps", self.alive_steps, 0)

    @staticmethod
    def slope(parameters: Parameters, normal: Array, visits: Array, step: Array, settings: Settings) -> Parameters:
        """Sigma · normal while alive, else 0."""
        sigma, silent, alive_steps = settings
        return (where(step < alive_steps, sigma, silent) * normal,)

    @staticmethod
    def settings(fields: Fields) -> Settings:
        """sigma, 0, alive_steps."""
        return fields["sigma"], 0 * fields["sigma"], fields["alive_steps"]

    def active_share(self, fields: Fields, steps: int) -> np.ndarray:
        """alive_steps/steps, at most 1."""
        return np.minimum(1.0, fields["alive_steps"] / steps)


@dataclass(frozen=True, kw_only=True)
class Visited(AbstractGradient):
    """Noise that comes rarely: g ~ N(0, sigma²) with probability `activity` in each step, else exactly zero."""

    name: ClassVar[str] = "visited"
    activity: float = 0.1
    sigma: float = 1e-3

    def __post_init__(self) -> None:
        _require_probability("activity", self.activity)
        require_at_least("sigma", self.sigma, 0)

    @staticmethod
    def slope(parameters: Parameters, normal: Array, visits: Array, step: Array, settings: Settings) -> Parameters:
        """Visits · sigma · normal."""
        return (visits * settings[0] * normal,)

    @staticmethod
    def settings(fields: Fields) -> Settings:
        """Sigma."""
        return (fields["sigma"],)

    @staticmethod
    def visit_law(fields: Fields) -> tuple[np.ndarray, np.ndarray] | None:
        """One trial a step."""
        return np.ones_like(fields["activity"]), fields["activity"]


@dataclass(frozen=True, kw_only=True)
class Selective(AbstractGradient):
    """A feature that is right only when it is used: g = (k/B)·[c(w − a) + √c·s·z] with c ~ Binomial(B, p) active exemplars.

    p is the fraction of exemplars on which the feature is active (selectivity = 1 − p), B `batch_size`, k `curvature`, a
    `target`, s `noise`.
    """

    name: ClassVar[str] = "selective"
    p: float = 0.1
    batch_size: int = 40
    curvature: float = 1e-2
    target: float = 1.0
    noise: float = 1.0

    def __post_init__(self) -> None:
        require_selective(self)

    @staticmethod
    def slope(parameters: Parameters, normal: Array, visits: Array, step: Array, settings: Settings) -> Parameters:
        """(k/B)·[c(w − a) + √c·s·z]."""
        return (selective_slope(parameters[0], normal, visits, settings),)

    @staticmethod
    def settings(fields: Fields) -> Settings:
        """k/B, a, s."""
        return selective_settings(fields)

    @staticmethod
    def visit_law(fields: Fields) -> tuple[np.ndarray, np.ndarray] | None:
        """The parameters of a binomial draw: B trials, each with probability p."""
        return fields["batch_size"], fields["p"]


@dataclass(frozen=True, kw_only=True)
class Product(AbstractGradient):
    """A feature that acts through a product, scale × outgoing weight: the selective feature with w replaced by γ·v.

    g_γ = h·v and g_v = h·γ with h = (k/B)·[c(γv − a) + √c·s·z]; the fields are those of `selective`.
    """

    name: ClassVar[str] = "product"
    parameters: ClassVar[tuple[str, ...]] = ("scale", "outgoing")
    p: float = 0.1
    batch_size: int = 40
    curvature: float = 0.1
    target: float = 1.0
    noise: float = 1.0
    initial_outgoing: float = 0.7

    def __post_init__(self) -> None:
        require_selective(self)

    @staticmethod
    def slope(parameters: Parameters, normal: Array, visits: Array, step: Array, settings: Settings) -> Parameters:
        """(h·v, h·γ)."""
        scale, outgoing = parameters
        h = selective_slope(scale * outgoing, normal, visits, settings)
        return h * outgoing, h * scale

    @staticmethod
    def product(parameters: Parameters) -> Array:
        """γ·v."""
        return parameters[0] * parameters[1]

    @staticmethod
    def settings(fields: Fields) -> Settings:
        """k/B, a, s."""
        return selective_settings(fields)

    @staticmethod
    def visit_law(fields: Fields) -> tuple[np.ndarray, np.ndarray] | None:
        """B trials with probability p."""
        return fields["batch_size"], fields["p"]


def require_selective(model: Any) -> None:
    """Raises `InvalidValue` unless the fields that all selective models share are valid."""
    _require_probability("p", model.p)
    require_whole("batch_size", model.batch_size, 1)
    require_above("curvature", model.curvature, 0)
    require_at_least("noise", model.noise, 0)


def selective_settings(fields: Fields) -> tuple[Array, Array, Array]:
    """k/B, a, s."""
    return fields["curvature"] / fields["batch_size"], fields["target"], fields["noise"]


def selective_slope(contribution: Array, normal: Array, visits: Array, settings: Settings) -> Array:
    """(k/B)·[c(u − a) + √c·s·z] for what the feature does, u, and c visits; `settings` are k/B, a, s."""
    rate, target, noise = settings
    return rate * (visits * (contribution - target) + sqrt(visits) * noise * normal)
