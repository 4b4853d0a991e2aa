"""The verb `translate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mechanisms.command_line.framework import Words, print_rows, verb
from mechanisms.command_line.options import option, table_options
from mechanisms.commands.parts.recorded import FIRST, recorded, translated
from mechanisms.law.regularizers import COUPLINGS
from mechanisms.law.update_rules import AbstractUpdateRule
from mechanisms.records.specs import choices, override_all, parse_override
from mechanisms.theory.outcomes import expectations, told
from mechanisms.theory.translation import DECAYED, Recipe, equivalents, rare_features, statements
from mechanisms.validation import UserError, require, require_choice, require_whole

AS_TORCH = "torch"
DEFAULT = Recipe()


@verb(
    "--rule AdamW --lr 1e-3 --weight-decay 0.01",
    "--rule SGD --set momentum=0.9 --lr 0.1 --epochs 200 --images 50000",
)
@option("--rule NAME", "The optimizer; a final w, as in adamw, decouples.", DEFAULT.rule.name)
@option("--set,hyperparameters FIELD=VALUE...", "Its hyperparameters, such as beta2=0.99.", cls=Words)
@option("--learning-rate,--lr X", "The base rate.", DEFAULT.learning_rate)
@option("--schedule NAME [FIELD=VALUE]...", "Of the rate.", [DEFAULT.schedule.name], cls=Words)
@option("--weight-decay X", "The strength of the decay.", DEFAULT.regularizer.strength)
@option("--means WHAT", f"What the decay is: {AS_TORCH} (as the optimizer's class has it), {', '.join(COUPLINGS)}.", AS_TORCH)
@option("--batch-size N", "Exemplars a step.", DEFAULT.batch_size)
@option("--steps N", "Length of the run.", DEFAULT.steps)
@option("--epochs N", "Length of the run in passes over --images, in place of --steps.", type=int)
@option("--images N", "Number of training images.", type=int)
@option("--decayed WHAT", f"{' or '.join(DECAYED)}: with or without BatchNorm.", DEFAULT.decayed)
@option("--curvature X", "Assumed k of a feature.", DEFAULT.curvature)
@table_options
def command(runs: Path, as_json: bool, **settings: Any) -> None:
    """Translate your own weight decay into its three meanings, and tell which share of filters died under such a pull."""
    recipe = recipe_of(**settings)
    if as_json:
        print(json.dumps(translated(recipe, runs), indent=1))
        return
    print("Strength with the same pull, by coupling, where a feature's denominator is D:\n")
    print_rows(list(equivalents(recipe)), as_json=False)
    if recipe.regularizer.strength:
        outcomes = expectations(recipe, recorded(runs))
        print("", *(told(recipe, outcomes) if outcomes else [f"No network is on record here: {FIRST.command}"]), sep="\n")
    print(f"\nWhat a feature used by a fraction p keeps of its effect if λ = {recipe.regularizer.strength:g} were …\n")
    print_rows(list(rare_features(recipe)), as_json=False)
    print("", *statements(recipe), sep="\n")


def recipe_of(
    rule: str,
    hyperparameters: tuple[str, ...],
    schedule: tuple[str, ...],
    weight_decay: float,
    means: str,
    epochs: int | None,
    images: int | None,
    **others: Any,
) -> Recipe:
    """The recipe that the options describe; raises `InvalidValue`, with the option that is wrong."""
    name, coupling = meaning(rule, means)
    values = {"rule": name, "schedule": schedule[0], "regularizer.strength": weight_decay, "regularizer.coupling": coupling}
    for prefix, texts in (("rule", hyperparameters), ("schedule", schedule[1:])):
        values |= {f"{prefix}.{field}": value for field, value in map(parse_override, texts)}
    if (epochs is None) != (images is None):
        raise UserError("--epochs and --images belong together: the steps of a run are epochs × images ÷ batch size")
    if epochs is not None and images is not None:
        for option, number in (("--epochs", epochs), ("--images", images), ("--batch-size", others["batch_size"])):
            require_whole(option, number, 1)
        others["steps"] = epochs * images // others["batch_size"]
    return override_all(Recipe(), [*values.items(), *others.items()])


def meaning(rule: str, means: str) -> tuple[str, str]:
    """The rule's name here and the coupling, of an optimizer's name and of what its weight decay is said to mean.

    >>> meaning("AdamW", "torch"), meaning("RMSprop", "torch"), meaning("sgd", "independent")
    (('adam', 'decoupled'), ('rmsprop', 'coupled'), ('sgd', 'independent'))
    """
    require_choice("--means", means, (AS_TORCH, *COUPLINGS))
    known, name = choices(AbstractUpdateRule), rule.lower()
    decouples = name not in known and name.removesuffix("w") in known
    name = name.removesuffix("w") if decouples else name
    require(name in known, "--rule", rule, "one of " + ", ".join(known) + ", or one of them with a final w")
    require(
        not (decouples and means == "coupled"), "--means", means, f"torch, decoupled or independent with {rule}, which decouples"
    )
    return name, ("decoupled" if decouples else "coupled") if means == AS_TORCH else means
