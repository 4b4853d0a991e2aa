"""Update rules: a linear filter of the gradient, divided element by element by a denominator.

Each rule is a frozen dataclass of hyperparameters (defaults: those of `torch.optim`) with two parts:

* `coefficients(step)`: everything that does not depend on the element, computed once a step;
* `direction(loss, penalty, state, coefficients)`: the element-wise part, one plain function that serves NumPy arrays,
  torch tensors and the toy's compiled kernel. It uses arithmetic and `mechanisms.law.arrays` only, and no literals,
  because a literal would promote float32 to float64 in compiled code.

`direction` carries two filter states, one fed by the loss gradient and one by the penalty gradient, and returns both
parts of the step direction, so that loss force + regularizer force = update, exactly, *given the denominator used*. The
denominator is built from their sum: under coupled regularization it depends on the regularizer.

To add a rule: one class here. It is found by its base class and tested against its reference by `tests/mechanisms`.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mechanisms.law.abstract_rules import AbstractAdaptive, Coefficients, Parts, State, average
from mechanisms.law.abstract_rules import AbstractUpdateRule as AbstractUpdateRule
from mechanisms.law.arrays import Array, maximum, sqrt
from mechanisms.validation import require, require_at_least, require_between


@dataclass(frozen=True)
class SGD(AbstractUpdateRule):
    """Stochastic gradient descent with momentum: b ← μb + G, u = b (Nesterov: u = G + μb); the denominator is 1.

    Source: Sutskever et al., ICML 2013, in the form of `torch.optim.SGD` (no dampening).
    """

    name: ClassVar[str] = "sgd"
    label: ClassVar[str] = "SGD, momentum 0.9"
    slots: ClassVar[tuple[str, ...]] = ("momentum_loss", "momentum_penalty")
    normalizing: ClassVar[bool] = False
    momentum: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        require_between("momentum", self.momentum, 0, 1)
        require(not self.nesterov or self.momentum > 0, "nesterov", True, "momentum > 0 with it, as torch does")

    def coefficients(self, step: Array) -> Coefficients:
        """μ; the weights of G and of b in u; the denominator 1."""
        fresh, buffered = (1.0, self.momentum) if self.nesterov else (0.0, 1.0)
        return self.momentum, fresh, buffered, 1.0

    @staticmethod
    def direction(loss: Array, penalty: Array, state: State, coefficients: Coefficients) -> Parts:
        """See the class."""
        momentum, fresh, buffered, one = coefficients
        b_loss = momentum * state[0] + loss
        b_penalty = momentum * state[1] + penalty
        return fresh * loss + buffered * b_loss, fresh * penalty + buffered * b_penalty, one, (b_loss, b_penalty)


@dataclass(frozen=True)
class Adam(AbstractAdaptive):
    """Adam: u = m̂/(√v̂ + ε), m and v exponential means of G and G² with bias correction.

    Source: Kingma and Ba, ICLR 2015, algorithm 1, in the form of `torch.optim.Adam`.
    """

    name: ClassVar[str] = "adam"
    label: ClassVar[str] = "Adam"
    slots: ClassVar[tuple[str, ...]] = ("mean_loss", "mean_penalty", "mean_square")

    @staticmethod
    def direction(loss: Array, penalty: Array, state: State, coefficients: Coefficients) -> Parts:
        """See the class."""
        beta1, take1, beta2, take2, first, second, epsilon = coefficients
        total = loss + penalty
        m_loss, m_penalty = average(state[0], loss, beta1, take1), average(state[1], penalty, beta1, take1)
        v = average(state[2], total * total, beta2, take2)
        denominator = sqrt(v) * second + epsilon
        factor = first / denominator
        return m_loss * factor, m_penalty * factor, denominator, (m_loss, m_penalty, v)


@dataclass(frozen=True)
class AMSGrad(AbstractAdaptive):
    """Adam whose second moment never falls: v_max ← max(v_max, v), D = √v̂_max + ε.

    Source: Reddi, Kale and Kumar, ICLR 2018, with the bias corrections of `torch.optim.Adam(amsgrad=True)`; optax takes
    the maximum of the corrected moment instead.
    """

    name: ClassVar[str] = "amsgrad"
    label: ClassVar[str] = "AMSGrad"
    slots: ClassVar[tuple[str, ...]] = ("mean_loss", "mean_penalty", "mean_square", "largest_mean_square")

    @staticmethod
    def direction(loss: Array, penalty: Array, state: State, coefficients: Coefficients) -> Parts:
        """See the class."""
        beta1, take1, beta2, take2, first, second, epsilon = coefficients
        total = loss + penalty
        m_loss, m_penalty = average(state[0], loss, beta1, take1), average(state[1], penalty, beta1, take1)
        v = average(state[2], total * total, beta2, take2)
        largest = maximum(state[3], v)
        denominator = sqrt(largest) * second + epsilon
        factor = first / denominator
        return m_loss * factor, m_penalty * factor, denominator, (m_loss, m_penalty, v, largest)


@dataclass(frozen=True)
class Adamax(AbstractAdaptive):
    """Adam with a decaying maximum: D = max(β2 D, |G| + ε), u = m̂/D.

    Source: Kingma and Ba, ICLR 2015, algorithm 2, in the form of `torch.optim.Adamax` (which adds ε to |G|).
    """

    name: ClassVar[str] = "adamax"
    label: ClassVar[str] = "Adamax"
    slots: ClassVar[tuple[str, ...]] = ("mean_loss", "mean_penalty", "largest_gradient")

    @staticmethod
    def direction(loss: Array, penalty: Array, state: State, coefficients: Coefficients) -> Parts:
        """See the class."""
        beta1, take1, beta2, _, first, _, epsilon = coefficients
        m_loss, m_penalty = average(state[0], loss, beta1, take1), average(state[1], penalty, beta1, take1)
        denominator = maximum(beta2 * state[2], abs(loss + penalty) + epsilon)
        factor = first / denominator
        return m_loss * factor, m_penalty * factor, denominator, (m_loss, m_penalty, denominator)


@functools.lru_cache(maxsize=32)
def _nadam_momentum_products(beta1: float, momentum_decay: float, length: int) -> np.ndarray:
    """Π_{i≤t} μ_i for t = 1 … length, with μ_t = β1 (1 − ½·0.96^(t·ψ))."""
    return np.asarray(np.cumprod(_nadam_momentum(beta1, momentum_decay, np.arange(1, length + 1))))


def _nadam_momentum(beta1: float, momentum_decay: float, step: Array) -> Array:
    return beta1 * (1 - 0.5 * 0.96 ** (step * momentum_decay))


@dataclass(frozen=True)
class NAdam(AbstractAdaptive):
    """Adam with Nesterov momentum: u = [(1 − μ_t)/(1 − Πμ)·G + μ_{t+1}/(1 − Πμ·μ_{t+1})·m]/D, μ_t = β1(1 − ½·0.96^{tψ}).

    Source: Dozat, ICLR workshop 2016, in the form of `torch.optim.NAdam`; optax keeps μ constant.
    """

    name: ClassVar[str] = "nadam"
    label: ClassVar[str] = "NAdam"
    slots: ClassVar[tuple[str, ...]] = ("mean_loss", "mean_penalty", "mean_square")
    momentum_decay: float = 4e-3

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least("momentum_decay", self.momentum_decay, 0)

    def coefficients(self, step: Array) -> Coefficients:
        """β1, 1 − β1, β2, 1 − β2, the weights of G and of m, 1/√(1 − β2^t), ε."""
        length = 1 << max(10, int(np.max(step)).bit_length())
        product = _nadam_momentum_products(self.beta1, self.momentum_decay, length)[step - 1]
        now = _nadam_momentum(self.beta1, self.momentum_decay, step)
        following = _nadam_momentum(self.beta1, self.momentum_decay, step + 1)
        fresh, buffered = (1 - now) / (1 - product), following / (1 - product * following)
        beta1, take1, beta2, take2, _, second, epsilon = super().coefficients(step)
        return beta1, take1, beta2, take2, fresh, buffered, second, epsilon

    @staticmethod
    def direction(loss: Array, penalty: Array, state: State, coefficients: Coefficients) -> Parts:
        """See the class."""
        beta1, take1, beta2, take2, fresh, buffered, second, epsilon = coefficients
        total = loss + penalty
        m_loss, m_penalty = average(state[0], loss, beta1, take1), average(state[1], penalty, beta1, take1)
        v = average(state[2], total * total, beta2, take2)
        denominator = sqrt(v) * second + epsilon
        u_loss = (fresh * loss + buffered * m_loss) / denominator
        u_penalty = (fresh * penalty + buffered * m_penalty) / denominator
        return u_loss, u_penalty, denominator, (m_loss, m_penalty, v)


@dataclass(frozen=True)
class AdaBelief(AbstractAdaptive):
    """Adam whose second moment is that of the surprise: s ← β2 s + (1 − β2)(G − m)² + ε, D = √ŝ + ε.

    Source: Zhuang et al., NeurIPS 2020, algorithm 2 (torch has no such rule).
    """

    name: ClassVar[str] = "adabelief"
    label: ClassVar[str] = "AdaBelief"
    slots: ClassVar[tuple[str, ...]] = ("mean_loss", "mean_penalty", "mean_square_surprise")
    epsilon: float = 1e-16

    @staticmethod
    def direction(loss: Array, penalty: Array, state: State, coefficients: Coefficients) -> Parts:
        """See the class."""
        beta1, take1, beta2, take2, first, second, epsilon = coefficients
        m_loss, m_penalty = average(state[0], loss, beta1, take1), average(state[1], penalty, beta1, take1)
        surprise = loss + penalty - (m_loss + m_penalty)
        s = average(state[2], surprise * surprise, beta2, take2) + epsilon
        denominator = sqrt(s) * second + epsilon
        factor = first / denominator
        return m_loss * factor, m_penalty * factor, denominator, (m_loss, m_penalty, s)


@dataclass(frozen=True)
class RMSProp(AbstractUpdateRule):
    """RMSProp: D = √v + ε without bias correction; momentum filters *after* the division, b ← μb + G/D, u = b.

    `beta2` is what torch calls alpha. Source: Tieleman and Hinton, lecture 6.5, 2012, in the form of `torch.optim.RMSprop`.
    """

    name: ClassVar[str] = "rmsprop"
    label: ClassVar[str] = "RMSProp"
    slots: ClassVar[tuple[str, ...]] = ("mean_square", "momentum_loss", "momentum_penalty")
    beta2: float = 0.99
    epsilon: float = 1e-8
    momentum: float = 0.0

    def __post_init__(self) -> None:
        require_between("beta2", self.beta2, 0, 1)
        require_at_least("epsilon", self.epsilon, 0)
        require_between("momentum", self.momentum, 0, 1)

    def coefficients(self, step: Array) -> Coefficients:
        """β2, 1 − β2, ε, μ."""
        return self.beta2, 1 - self.beta2, self.epsilon, self.momentum

    @staticmethod
    def direction(loss: Array, penalty: Array, state: State, coefficients: Coefficients) -> Parts:
        """See the class."""
        beta2, take2, epsilon, momentum = coefficients
        total = loss + penalty
        v = average(state[0], total * total, beta2, take2)
        denominator = sqrt(v) + epsilon
        b_loss = momentum * state[1] + loss / denominator
        b_penalty = momentum * state[2] + penalty / denominator
        return b_loss, b_penalty, denominator, (v, b_loss, b_penalty)


@dataclass(frozen=True)
class Adagrad(AbstractUpdateRule):
    """Adagrad: D = √(Σ G²) + ε, u = G/D; the memory never fades.

    Source: Duchi, Hazan and Singer, JMLR 2011, in the form of `torch.optim.Adagrad` (no decay of the learning rate).
    """

    name: ClassVar[str] = "adagrad"
    label: ClassVar[str] = "Adagrad"
    slots: ClassVar[tuple[str, ...]] = ("sum_of_squares",)
    epsilon: float = 1e-10
    initial_accumulator: float = 0.0

    def __post_init__(self) -> None:
        require_at_least("epsilon", self.epsilon, 0)
        require_at_least("initial_accumulator", self.initial_accumulator, 0)

    def initial_state(self) -> tuple[float, ...]:
        """The initial accumulator."""
        return (self.initial_accumulator,)

    def coefficients(self, step: Array) -> Coefficients:
        """ε."""
        return (self.epsilon,)

    @staticmethod
    def direction(loss: Array, penalty: Array, state: State, coefficients: Coefficients) -> Parts:
        """See the class."""
        total = loss + penalty
        accumulated = state[0] + total * total
        denominator = sqrt(accumulated) + coefficients[0]
        return loss / denominator, penalty / denominator, denominator, (accumulated,)


@dataclass(frozen=True)
class Adadelta(AbstractUpdateRule):
    """Adadelta: D = √(v + ε)/√(Δ + ε), Δ the exponential mean of its past squared directions.

    `beta2` is what torch calls rho. Once gradients fall under √ε the denominator is nearly 1, as in plain gradient descent.
    Source: Zeiler, arXiv 1212.5701, algorithm 1, in the form of `torch.optim.Adadelta`.
    """

    name: ClassVar[str] = "adadelta"
    label: ClassVar[str] = "Adadelta"
    slots: ClassVar[tuple[str, ...]] = ("mean_square", "mean_square_direction")
    beta2: float = 0.9
    epsilon: float = 1e-6

    def __post_init__(self) -> None:
        require_between("beta2", self.beta2, 0, 1)
        require_at_least("epsilon", self.epsilon, 0)

    def coefficients(self, step: Array) -> Coefficients:
        """β2, 1 − β2, ε."""
        return self.beta2, 1 - self.beta2, self.epsilon

    @staticmethod
    def direction(loss: Array, penalty: Array, state: State, coefficients: Coefficients) -> Parts:
        """See the class."""
        beta2, take2, epsilon = coefficients
        total = loss + penalty
        v = average(state[0], total * total, beta2, take2)
        denominator = sqrt(v + epsilon) / sqrt(state[1] + epsilon)
        u = total / denominator
        delta = average(state[1], u * u, beta2, take2)
        return loss / denominator, penalty / denominator, denominator, (v, delta)
