"""Phase diagrams of a layer of competing features: the share that is dead at the end, over two fields."""

from __future__ import annotations

from dataclasses import replace

from toy.layer.settings import STANDARD, Specs, over

END = replace(STANDARD, records=1)


def layer_strength_and_rate() -> Specs:
    """The strength of coupled L2 against the learning rate."""
    strengths = over("regularizer.strength", (3e-4, 1e-3, 3e-3, 1e-2, 3e-2), END)
    return over("learning_rate", (1e-3, 3e-3, 1e-2, 3e-2), *strengths)


def layer_batch_and_memory() -> Specs:
    """The size of a batch against the memory of the second moment (β2)."""
    return over("rule.beta2", (0.9, 0.97, 0.99, 0.999), *over("batch_size", (10, 20, 40, 80, 160), END))


def layer_width_and_task() -> Specs:
    """How many features there are against how many the task needs."""
    return over("teacher_features", (2, 4, 8, 16), *over("features", (8, 16, 32, 64), END))


def layer_epsilon_and_strength() -> Specs:
    """The ε of the normalizations against the strength of coupled L2."""
    epsilons = over("batchnorm_epsilon", (1e-10, 1e-7, 1e-5, 1e-3, 1e-1), END)
    return over("regularizer.strength", (3e-4, 1e-3, 3e-3, 1e-2), *epsilons)
