"""All that decides a run about sparsifiers but the seed; no torch here."""

from __future__ import annotations

from dataclasses import dataclass

from full_scale.training.spec import TrainSpec, require_whole_network
from mechanisms.measures.removal_scores import require_scores
from mechanisms.validation import require, require_at_least, require_between, require_whole

EVENLY = tuple(round(0.05 * n, 2) for n in range(20))


@dataclass(frozen=True, kw_only=True)
class SparsifiedSpec:
    """One training, and the errors of its network as its features go, in the order of each of `scores`.

    At each of `ratios`, which rise from 0, that share of all features becomes constant (scale 0, shift or bias kept), without
    tuning. `images` training images measure what scores need. `entropic_strength` is that of the entropic regression.
    """

    train: TrainSpec
    scores: tuple[str, ...] = ("relative_norm", "activation", "reach")
    ratios: tuple[float, ...] = EVENLY
    images: int = 1000
    entropic_strength: float = 0.1

    def __post_init__(self) -> None:
        require_whole_network(self.train)
        require_scores("scores", self.scores)
        require(len(set(self.scores)) == len(self.scores) >= 1, "scores", self.scores, "names, each once")
        for ratio in self.ratios:
            require_between("ratios", ratio, 0, 1)
        rising = list(self.ratios) == sorted(set(self.ratios)) and self.ratios[:1] == (0,)
        require(rising, "ratios", self.ratios, "rising shares from 0 on")
        require_whole("images", self.images, 2)
        require_at_least("entropic_strength", self.entropic_strength, 0)
