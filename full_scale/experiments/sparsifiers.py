"""Sparsifiers of the neighbouring papers beside the implicit effect: the same networks, data, budgets and seeds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from full_scale.data.cifar10 import Cifar10, Cifar10Jpeg
from full_scale.data.mnist import Mnist
from full_scale.data.shapes import Shapes
from full_scale.models.lenet import LeNet
from full_scale.models.mlp import MLP
from full_scale.models.unet import UNet
from full_scale.models.vgg import VGG
from full_scale.pruning.sparsified_spec import SparsifiedSpec
from full_scale.training.augmentation import Flip
from full_scale.training.spec import TrainSpec
from mechanisms.law.penalties import GroupLasso, L1OverL2
from mechanisms.law.proximal import WeightSampling
from mechanisms.law.regularizers import L1, L2
from mechanisms.law.schedules import Stepwise
from mechanisms.law.update_rules import Adam

Specs = tuple[SparsifiedSpec, ...]
ALL_SCORES = ("relative_norm", "activation", "reach", "entropic")
DROPS = Stepwise(milestones=(0.7, 0.9))
CAFFE = LeNet(channels=(20, 50), hidden=(500,), padding=0, normalization="none")
"""Caffe's LeNet, without BatchNorm: what penalties on filters were made for."""


RATIOS = (0.0, 0.1, 0.2, *(round(0.3 + 0.05 * n, 2) for n in range(14)))
L1_BESIDE_L2 = 0.1
"""Strength of L1 beside that of L2: its pull does not fall as weights do, and at the same strength it costs points of error."""
PLAINLY_THINNED = ("entropic",)
"""Scores that are only tried on the network of plain training: they are ways to thin it after the fact."""


@dataclass(frozen=True)
class Size:
    """One network and its data, the strengths to try of each regularizer and penalty, and the scores by which features go."""

    train: TrainSpec
    strengths: tuple[float, ...]
    scores: tuple[str, ...] = ("relative_norm", "activation", "reach")

    def sparsified(self, train: TrainSpec) -> SparsifiedSpec:
        """One setting, by the scores that are tried on it."""
        scores = self.scores if train == self.train else tuple(name for name in self.scores if name not in PLAINLY_THINNED)
        return SparsifiedSpec(train=train, scores=scores, ratios=RATIOS)


def _train(**fields: Any) -> TrainSpec:
    common: dict[str, Any] = {"rule": Adam(), "regularizer": L2(), "learning_rate": 1e-3, "schedule": DROPS, "measurements": 4}
    return TrainSpec(**common | fields)


def _mlp(images: int, steps: int, **fields: Any) -> TrainSpec:
    data = Mnist(train_images=images, test_images=2000 if images else 0)
    return _train(data=data, network=MLP(hidden=(300, 100)), batch_size=50, steps=steps, **fields)


def _lenet(images: int, steps: int, **fields: Any) -> TrainSpec:
    data = Mnist(train_images=images, test_images=2000 if images else 0)
    return _train(data=data, network=CAFFE, batch_size=50, steps=steps, **fields)


def _vgg(short: bool) -> TrainSpec:
    if short:
        data: Any = Cifar10Jpeg(train_images=20_000, test_images=5_000)
        return _train(data=data, network=VGG(width=0.25), augmentation=Flip(), batch_size=40, steps=4000)
    return _train(data=Cifar10(), network=VGG(), augmentation=Flip(), batch_size=64, steps=200 * 781)


def _unet(images: int, steps: int, width: float) -> TrainSpec:
    data = Shapes(train_images=images, test_images=images // 4)
    return _train(data=data, network=UNet(width=width, maps=True), batch_size=20, steps=steps)


def node_pruning(preset: str = "demo") -> Specs:
    """Weights zeroed by chance, with L1, L2 or nothing, against these alone: share of nodes gone at matched error.

    Beside the 50, 60 and 60 % that Ben-Guigui, Goldberger and Riklin-Raviv (2020) report of the nodes of an MLP, the filters of
    VGG-16 and the channels of a U-Net. Demo: MLP (300 and 100 nodes) on 5,000 images of MNIST; short: VGG-16 at width 1/4 on
    photographs, and a U-Net on synthetic shapes too; paper: all of MNIST and CIFAR-10.
    """
    strengths, maps = (1e-3, 3e-3), ("relative_norm", "activation")
    sizes = {
        "demo": [Size(_mlp(5000, 2000, learning_rate=5e-3), strengths)],
        "short": [
            Size(_mlp(0, 12_000), strengths),
            Size(_vgg(short=True), strengths),
            Size(_unet(2000, 2000, 0.25), strengths, maps),
        ],
        "paper": [
            Size(_mlp(0, 120_000), (1e-5, 1e-4)),
            Size(_vgg(short=False), (1e-5, 1e-4)),
            Size(_unet(8000, 20_000, 1.0), (1e-5, 1e-4), maps),
        ],
    }
    return tuple(spec for size in sizes[preset] for spec in _sampled(size))


def _sampled(size: Size) -> Specs:
    plain = size.train
    laws: list[Any] = [L2(strength=strength) for strength in size.strengths]
    laws += [L1(strength=L1_BESIDE_L2 * strength) for strength in size.strengths]
    laws += [L2(strength=size.strengths[-1], coupling="independent")]
    step = WeightSampling(every=4, probability=4 * 20 / plain.steps, width=0.02)
    trainings = [replace(plain, regularizer=law, after_update=after) for law in (L2(), *laws) for after in ((), (step,))]
    return tuple(size.sparsified(train) for train in trainings)


def l1_over_l2(preset: str = "demo") -> Specs:
    """The ratio ℓ1/ℓ2 by element, filter and group against L1, L2 and group lasso: share of filters gone at matched error.

    Demo: Caffe's LeNet without BatchNorm on 5,000 images of MNIST; short: all of MNIST, and VGG-16 at width 1/4 on
    photographs; paper: VGG-16 on CIFAR-10 too. Plain training is also thinned by entropic regression after the fact.
    """
    sizes = {
        "demo": [Size(_lenet(5000, 600), (3e-4, 3e-3), ALL_SCORES)],
        "short": [Size(_lenet(0, 12_000), (1e-4, 1e-3), ALL_SCORES), Size(_vgg(short=True), (1e-4, 1e-3))],
        "paper": [Size(_lenet(0, 120_000), (1e-5, 1e-4), ALL_SCORES), Size(_vgg(short=False), (1e-5, 1e-4))],
    }
    return tuple(spec for size in sizes[preset] for spec in _penalized(size))


RATIO_FACTORS = {"element": 10.0, "filter": 1.0, "group": 100.0}
"""Strength of the ratio beside that of L1: its gradient falls as 1/‖x‖, and x is a layer, a filter, or the norms of one."""


def _penalized(size: Size) -> Specs:
    plain = size.train
    trainings = [plain]
    for strength in size.strengths:
        laws = (L2(strength=strength), L1(strength=L1_BESIDE_L2 * strength))
        trainings += [replace(plain, regularizer=law) for law in laws]
        trainings += [
            replace(plain, penalties=(penalty,))
            for penalty in (
                *(GroupLasso(strength=10 * strength, part=part) for part in ("incoming", "outgoing")),
                *(L1OverL2(strength=factor * strength, level=level) for level, factor in RATIO_FACTORS.items()),
            )
        ]
    return tuple(size.sparsified(train) for train in trainings)
