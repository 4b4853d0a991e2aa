"""`run(spec, seed)`: simulates every setting of a toy spec and returns its `features` table.

Lanes run in the inner loop: the settings of a grid where there are many (the noise of a step is then one number for all of
them), else the features of one setting; or both together, where an engine asks for that. Noise is drawn in chunks of steps,
so memory does not grow with steps × features.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mechanisms.law.torch_rules import TorchRule
from mechanisms.records.columns import SPEC_PREFIX
from mechanisms.records.rng import stream
from mechanisms.records.specs import override
from toy.engines.advance import coefficient_columns
from toy.engines.choice import Engine, choose_engine, engine_for
from toy.spec import Axis, ToySpec, by_depth

if TYPE_CHECKING:
    import pandas as pd

CHUNK_STEPS = 1024
CHUNK_NUMBERS = 2**20
BLOCK_LANES = 1024


@dataclass(frozen=True)
class Group:
    """The settings of a grid that one kernel runs: a spec, and arrays for the numeric fields that vary.

    Attributes:
        spec: a spec without axes.
        index: where each setting stands in the whole grid.
        varying: dotted field name → value of each setting.
    """

    spec: ToySpec
    index: np.ndarray
    varying: dict[str, np.ndarray]

    @property
    def settings(self) -> int:
        """The number of settings."""
        return len(self.index)

    def value(self, path: str) -> np.ndarray:
        """The field at a dotted path for each setting, shape (settings,)."""
        fixed = functools.reduce(getattr, path.split("."), self.spec)
        return self.varying.get(path, np.full(self.settings, fixed, dtype=np.float64))

    def gradient_fields(self) -> dict[str, np.ndarray]:
        """Field name → values of the gradient model, each (settings,)."""
        return {name: self.value(f"gradient.{name}") for name in vars(self.spec.gradient)}


def groups(spec: ToySpec) -> Iterator[Group]:
    """The grid of a spec, split so that whatever decides the code or the coefficients of a step is fixed in each group."""
    one_rate = _may_run_torch(spec)
    outer = by_depth(axis for axis in spec.axes if not _varies_in_lanes(axis) or (one_rate and axis.field == "learning_rate"))
    index = np.arange(spec.settings).reshape([len(axis.values) for axis in spec.axes])
    for choice in itertools.product(*(range(len(axis.values)) for axis in outer)):
        one, where = replace(spec, axes=()), []
        for axis, position in zip(outer, choice, strict=True):
            one = override(one, axis.field, axis.values[position])
        for axis in spec.axes:
            where.append(choice[outer.index(axis)] if axis in outer else slice(None))
        inner = [axis for axis in spec.axes if axis not in outer]
        mesh = np.meshgrid(*(np.array(axis.values, dtype=np.float64) for axis in inner), indexing="ij")
        varying = {axis.field: values.ravel() for axis, values in zip(inner, mesh, strict=True)}
        yield Group(one, np.atleast_1d(index[tuple(where)]).ravel(), varying)


def _varies_in_lanes(axis: Axis) -> bool:
    head, _, rest = axis.field.partition(".")
    numeric = np.asarray(axis.values).dtype.kind in "if"
    return numeric and (head in ("learning_rate", "initial_scale", "gradient") or (head, rest) == ("regularizer", "strength"))


def _may_run_torch(spec: ToySpec) -> bool:
    """Whether the rule of any setting is a torch optimizer, all of whose lanes share one learning rate."""
    bare = replace(spec, axes=())
    rules = [spec, *(override(bare, axis.field, value) for axis in spec.axes if axis.field == "rule" for value in axis.values)]
    return any(isinstance(one.rule, TorchRule) for one in rules)


def recorded_steps(steps: int, records: int) -> np.ndarray:
    """At most `records` log-spaced step counts from 1 to `steps`, the last always included.

    >>> recorded_steps(1000, 4).tolist()
    [1, 10, 100, 1000]
    >>> recorded_steps(1000, 1).tolist()
    [1000]
    """
    if records >= steps:
        return np.arange(1, steps + 1)
    return np.unique(np.geomspace(1, steps, records).round().astype(np.int64))[-records:] if records > 1 else np.array([steps])


def run(spec: ToySpec, seed: int) -> tuple[dict[str, pd.DataFrame], dict[str, Any]]:
    """The `features` table of a spec (one row for each setting, feature and recorded step), and what the manifest should add."""
    general = choose_engine()
    simulations = [(group, engine_for(group.spec.rule, general)) for group in groups(spec)]
    table = _merge([_Simulation(group, seed, engine).table() for group, engine in simulations], spec)
    used = ", ".join(dict.fromkeys(engine.name for _, engine in simulations))
    return {"features": table}, {"engine": used, "decayed_parameters": _decayed(spec)}


def _decayed(spec: ToySpec) -> list[str]:
    return [name for name in spec.gradient.parameters if spec.decayed in ("all", name)]


def _merge(parts: list[dict[str, np.ndarray]], spec: ToySpec) -> pd.DataFrame:
    import pandas as pd

    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    order = np.lexsort((columns["step"], columns["feature"], columns["setting"]))
    setting = columns.pop("setting")[order]
    positions = np.unravel_index(setting, [len(axis.values) for axis in spec.axes]) if spec.axes else ()
    axes = {
        SPEC_PREFIX + axis.field: np.array(axis.values)[position] for axis, position in zip(spec.axes, positions, strict=True)
    }
    return pd.DataFrame({**axes, "layer": np.full(len(order), "toy"), **{k: v[order] for k, v in columns.items()}})


class _Simulation:
    """The state of one group: arrays of shape (outer, lanes), advanced block by block and chunk by chunk."""

    def __init__(self, group: Group, seed: int, engine: Engine) -> None:
        spec = group.spec
        self.group = group
        self.spec = spec
        self.engine = engine
        self.dtype = np.dtype(spec.dtype)
        self.lanes_are_settings = engine.joint or group.settings >= spec.features
        self.shape = (spec.features, group.settings) if self.lanes_are_settings else (group.settings, spec.features)
        if engine.joint:
            self.shape = (1, group.settings * spec.features)
        self.random = stream(seed, "gradient")
        self.random_visits = stream(seed, "visits")
        starts = spec.gradient.initial(group.gradient_fields(), group.value("initial_scale"))
        self.parameters = [np.broadcast_to(self._spread(start), self.shape).copy() for start in starts]
        self.states = [[np.full(self.shape, value, self.dtype) for value in spec.rule.initial_state()] for _ in self.parameters]
        self.settings = [self._spread(values) for values in spec.gradient.settings(group.gradient_fields())]
        strength = group.value("regularizer.strength")
        decayed = _decayed(spec)
        self.strengths = [self._spread(strength) * self.dtype.type(name in decayed) for name in spec.gradient.parameters]
        rate = group.value("learning_rate")
        self.learning_rate = self._spread(rate)
        inside, beside = spec.regularizer.rates(rate, np.ones_like(rate))
        self.inside = self.dtype.type(inside)
        self.beside = self._spread(beside)
        law = spec.gradient.visit_law(group.gradient_fields())
        self.cumulative = None if law is None else _binomial_table(*law)
        self.active = None if law is None else np.zeros(self.shape, self.dtype)
        self.window = np.zeros((2, *self.shape))
        self.window_steps = math.ceil(spec.average_last * spec.steps)
        self.recorded = recorded_steps(spec.steps, spec.records)
        self.records = np.zeros((3 + len(self.parameters), len(self.recorded), *self.shape), self.dtype)
        self.kernels: defaultdict[tuple[int, int], Callable[..., None]] = defaultdict(self._build)

    def _build(self) -> Callable[..., None]:
        """The kernel of one block of lanes: an engine may keep state in it."""
        spec = self.spec
        return self.engine.build(
            type(spec.rule).direction,
            type(spec.gradient).slope,
            type(spec.gradient).product,
            type(spec.regularizer).slope,
            spec.dtype,
        )

    def _spread(self, values: np.ndarray) -> np.ndarray:
        """One value a setting, in the working dtype: of the simulation's shape, or of size 1 where all settings share it."""
        column = np.asarray(values).astype(self.dtype)
        if (column == column[0]).all():
            return column[:1]
        return self._over_lanes(column)

    def _over_lanes(self, column: np.ndarray) -> np.ndarray:
        """One value a setting as an array of the simulation's shape."""
        if self.engine.joint:
            return np.repeat(column, self.spec.features)[None]
        return np.broadcast_to(column if self.lanes_are_settings else column[:, None], self.shape)

    def table(self) -> dict[str, np.ndarray]:
        """Runs all steps; column name → values of the features table, with `setting` instead of the axes."""
        chunk = max(1, min(CHUNK_STEPS, CHUNK_NUMBERS // self.spec.features))
        for start in range(0, self.spec.steps, chunk):
            self._advance(start, min(start + chunk, self.spec.steps))
        return self._columns()

    def _advance(self, start: int, stop: int) -> None:
        normal = self.random.standard_normal((stop - start, self.spec.features), self.dtype)
        uniform = None if self.cumulative is None else self.random_visits.random((stop - start, self.spec.features))
        clock = self._clock(start, stop)
        for outer in range(self.shape[0]):
            for first in range(0, self.shape[1], BLOCK_LANES):
                block = slice(first, min(first + BLOCK_LANES, self.shape[1]))
                noise, visits = self._noise(normal, uniform, outer, block)
                self._run_block(outer, block, noise, visits, clock)

    def _noise(self, normal: np.ndarray, uniform: np.ndarray | None, outer: int, block: slice) -> tuple[np.ndarray, np.ndarray]:
        mine: Any = (slice(None), outer) if self.lanes_are_settings else (slice(None), block)
        laws: Any = block if self.lanes_are_settings else slice(outer, outer + 1)
        if self.engine.joint:
            laws, features = np.divmod(np.arange(block.start, block.stop), self.spec.features)
            mine = (slice(None), features)
        noise = np.ascontiguousarray(normal[mine])
        if uniform is None or self.cumulative is None:
            return noise, np.zeros(len(noise), self.dtype)
        visits = np.empty((len(noise), block.stop - block.start), self.dtype)
        self.engine.fill_visits(np.ascontiguousarray(uniform[mine]).reshape(len(noise), -1), self.cumulative[laws], visits)
        return noise, visits

    def _clock(self, start: int, stop: int) -> dict[str, Any]:
        steps = np.arange(start, stop)
        row = np.searchsorted(self.recorded, steps + 1)
        window_start = self.spec.steps - self.window_steps
        return {
            "clock": steps.astype(self.dtype),
            "scales": self.spec.schedule.scale(steps, self.spec.steps).astype(self.dtype),
            "coefficients": coefficient_columns(self.spec.rule, steps, self.dtype),
            "window_start": window_start - start,
            "record_at": np.where(self.recorded[np.minimum(row, len(self.recorded) - 1)] == steps + 1, row, -1),
        }

    def _run_block(self, outer: int, block: slice, normal: np.ndarray, visits: np.ndarray, clock: dict[str, Any]) -> None:
        def shared(array: np.ndarray) -> Any:
            if array.size == 1:
                return array[0]
            return array[outer, block].copy() if self.lanes_are_settings else array[outer, 0]

        self.kernels[outer, block.start](
            tuple(array[outer, block] for array in self.parameters),
            tuple(tuple(array[outer, block] for array in state) for state in self.states),
            normal,
            visits,
            tuple(map(shared, self.settings)),
            tuple(map(shared, self.strengths)),
            shared(self.learning_rate),
            shared(self.beside),
            self.inside,
            clock["clock"],
            clock["scales"],
            clock["coefficients"],
            None if self.active is None else self.active[outer, block],
            self.window[:, outer, block],
            clock["window_start"],
            clock["record_at"],
            self.records[:, :, outer, block],
        )

    def _activity(self) -> np.ndarray:
        if self.active is not None:
            return self.active / self.spec.steps
        activity = self.spec.gradient.active_share(self.group.gradient_fields(), self.spec.steps)
        return self._over_lanes(activity)

    def _columns(self) -> dict[str, np.ndarray]:
        rows = len(self.recorded)
        outer, lane = np.meshgrid(np.arange(self.shape[0]), np.arange(self.shape[1]), indexing="ij")
        feature, setting = (outer, lane) if self.lanes_are_settings else (lane, outer)
        if self.engine.joint:
            setting, feature = np.divmod(lane, self.spec.features)
        per_lane = {"setting": self.group.index[setting], "feature": feature, "activity": self._activity()}
        if self.spec.average_last > 0:
            per_lane |= {
                "product_mean": self.window[0] / self.window_steps,
                "product_rms": np.sqrt(self.window[1] / self.window_steps),
            }
        names = ("loss_force", "reg_force", "denominator", *self.spec.gradient.parameters)
        per_step = dict(zip(names, self.records, strict=True))
        per_step["product"] = self.spec.gradient.product(tuple(self.records[3:]))
        return {
            "step": np.repeat(self.recorded, feature.size),
            **{name: np.tile(values.ravel(), rows) for name, values in per_lane.items()},
            **{name: values.ravel() for name, values in per_step.items()},
        }


def _binomial_table(trials: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """P(count <= k) for k = 0 … max(trials) − 1, one row a setting; counts above the last entry are `trials` itself."""
    from scipy.special import bdtr

    counts = np.arange(max(1, int(trials.max())))
    table = bdtr(counts[None, :].astype(float), trials[:, None].astype(np.int64), probability[:, None])
    return np.where(counts >= trials[:, None], 1.0, table)
