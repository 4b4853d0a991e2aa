"""All that decides a run about pruning but the seed; no torch here. Each holds the training it starts from."""

from __future__ import annotations

from dataclasses import dataclass

from full_scale.training.spec import MOST_STEPS, TrainSpec, require_whole_network
from mechanisms.measures.criteria import require_criteria
from mechanisms.measures.ranking import RANKINGS
from mechanisms.validation import require, require_above, require_between, require_choice, require_whole

PROTOCOLS = ("implicit", "one_shot", "iterative", "scratch")


def _require_names(field: str, names: tuple[str, ...], valid: tuple[str, ...], least: int = 1) -> None:
    for name in names:
        require_choice(field, name, valid)
    require(len(set(names)) == len(names) >= least, field, names, "names, each once")


@dataclass(frozen=True, kw_only=True)
class PruningSpec:
    """One training, and what is pruned from its network in several ways.

    `implicit`: what is inactive at the end goes; no ratio, no tuning. `one_shot`: the lowest `ratios` of all features by each of
    `criteria` in each of `rankings` go at once, then `tuning_steps` steps of tuning. `iterative`: the same in `rounds` equal
    parts, the criterion measured anew before each, with as many steps in all. `scratch`: the shapes of the one-shot networks of
    those criteria that `scratch_criteria` names, fresh weights, trained as long as training and tuning together.

    Tuning runs under the training's own law at a constant `tuning_rate` × its base rate. Criteria are measured on the same
    `images` training images. `layers` are those that are pruned (all, if none is named); ratios are of their features.

    Source of the protocols: Li et al., ICLR 2017 (one-shot, iterative); Liu et al., Rethinking the Value of Network Pruning, ICLR
    2019 (from scratch, there with the epochs of training alone or the same computation).
    """

    train: TrainSpec
    protocols: tuple[str, ...] = ("implicit", "one_shot", "scratch")
    criteria: tuple[str, ...] = ("scale", "filter_l1", "random")
    rankings: tuple[str, ...] = ("global", "layer")
    ratios: tuple[float, ...] = (0.3, 0.5, 0.7)
    layers: tuple[str, ...] = ()
    scratch_criteria: tuple[str, ...] = ("random",)
    rounds: int = 3
    tuning_steps: int = 120
    tuning_rate: float = 0.1
    images: int = 1000

    def __post_init__(self) -> None:
        require_whole_network(self.train)
        _require_names("protocols", self.protocols, PROTOCOLS)
        _require_names("rankings", self.rankings, RANKINGS)
        for ratio in self.ratios:
            require_between("ratios", ratio, 0, 1)
        _require_tuning(self.criteria, self.scratch_criteria, self.tuning_steps, self.tuning_rate, self.images)
        require_whole("rounds", self.rounds, 1, self.tuning_steps if "iterative" in self.protocols else MOST_STEPS)


@dataclass(frozen=True, kw_only=True)
class MatchedSpec:
    """Implicit against explicit pruning at equal parameter counts.

    The network of `train` loses what is inactive; that gives the count. The networks of `train` and of `conventional` are each
    pruned to at most that count by each of `criteria` in each of `rankings` and tuned; the shapes that `scratch_criteria` make
    of the conventional one are trained from fresh weights. Everything else as in `PruningSpec`.
    """

    train: TrainSpec
    conventional: TrainSpec
    criteria: tuple[str, ...] = ("scale", "filter_l1", "random")
    rankings: tuple[str, ...] = ("global", "layer")
    scratch_criteria: tuple[str, ...] = ("filter_l1",)
    tuning_steps: int = 120
    tuning_rate: float = 0.1
    images: int = 1000

    def __post_init__(self) -> None:
        for train in (self.train, self.conventional):
            require_whole_network(train)
        _require_names("rankings", self.rankings, RANKINGS)
        _require_tuning(self.criteria, self.scratch_criteria, self.tuning_steps, self.tuning_rate, self.images)
        require(
            self.conventional.network == self.train.network and self.conventional.data == self.train.data,
            "conventional",
            self.conventional.network.name,
            "the network and the data of train",
        )


@dataclass(frozen=True, kw_only=True)
class EarlySpec:
    """One training with what every criterion needs measured after the fractions `moments` of its steps, on `images` images."""

    train: TrainSpec
    moments: tuple[float, ...] = (0.05, 0.1, 0.2, 0.3)
    images: int = 1000

    def __post_init__(self) -> None:
        require_whole_network(self.train)
        for moment in self.moments:
            require_between("moments", moment, 0, 1)
        rising = len(self.moments) > 0 and self.steps()[0] > 0 and list(self.steps()) == sorted(set(self.steps()))
        require(rising, "moments", self.moments, "rising fractions of the run, different steps from 1")
        require_whole("images", self.images, 2)

    def steps(self) -> tuple[int, ...]:
        """The numbers of updates after which is measured."""
        return tuple(round(moment * self.train.steps) for moment in self.moments)


def _require_tuning(criteria: tuple[str, ...], scratch: tuple[str, ...], steps: int, rate: float, images: int) -> None:
    for field, names in (("criteria", criteria), ("scratch_criteria", scratch)):
        require_criteria(field, names)
        require(len(set(names)) == len(names), field, names, "names, each once")
    require_whole("tuning_steps", steps, 1, MOST_STEPS)
    require_above("tuning_rate", rate, 0)
    require_whole("images", images, 2)
