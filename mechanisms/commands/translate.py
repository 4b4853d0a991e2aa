"""Your own weight decay in its three meanings, and which share of filters died under such a pull on record."""

from __future__ import annotations

import argparse
import json

from mechanisms.command_line.framework import add_json_argument, add_runs_argument, print_rows
from mechanisms.commands.parts.recorded import FIRST, recorded, translated
from mechanisms.law.regularizers import COUPLINGS
from mechanisms.law.update_rules import AbstractUpdateRule
from mechanisms.records.specs import choices, override_all, parse_override
from mechanisms.theory.outcomes import expectations, told
from mechanisms.theory.translation import DECAYED, Recipe, equivalents, rare_features, statements
from mechanisms.validation import require, require_choice

AS_TORCH = "torch"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The settings of a person's own training."""
    default = Recipe()
    parser.add_argument(
        "--rule", default=default.rule.name, help="the optimizer (%(default)s); a final w, as in adamw, decouples"
    )
    parser.add_argument("--set", nargs="+", default=[], metavar="field=value", help="its hyperparameters, such as beta2=0.99")
    parser.add_argument("--learning-rate", type=float, default=default.learning_rate, help="the base rate (%(default)s)")
    parser.add_argument(
        "--schedule", nargs="+", default=[default.schedule.name], metavar="NAME", help="and its field=value (constant)"
    )
    parser.add_argument("--weight-decay", type=float, default=default.regularizer.strength, help="the number (%(default)s)")
    parser.add_argument("--means", default=AS_TORCH, help=f"{AS_TORCH} (as the optimizer's class has it), {', '.join(COUPLINGS)}")
    parser.add_argument("--batch-size", type=int, default=default.batch_size, help="exemplars a step (%(default)s)")
    parser.add_argument("--steps", type=int, default=default.steps, help="length of the run (%(default)s)")
    parser.add_argument(
        "--decayed", default=default.decayed, help=f"{' or '.join(DECAYED)}: with or without BatchNorm (%(default)s)"
    )
    parser.add_argument("--curvature", type=float, default=default.curvature, help="assumed k of a feature (%(default)s)")
    add_runs_argument(parser)
    add_json_argument(parser)


def run(options: argparse.Namespace) -> None:
    """Prints the translation of one recipe."""
    recipe = recipe_of(options)
    if options.json:
        print(json.dumps(translated(recipe, options.runs), indent=1))
        return
    print("Strength with the same pull, by coupling, where a feature's denominator is D:\n")
    print_rows(list(equivalents(recipe)), as_json=False)
    if recipe.regularizer.strength:
        outcomes = expectations(recipe, recorded(options.runs))
        print("", *(told(recipe, outcomes) if outcomes else [f"No network is on record here: {FIRST.command}"]), sep="\n")
    print(f"\nWhat a feature used by a fraction p keeps of its effect if λ = {recipe.regularizer.strength:g} were …\n")
    print_rows(list(rare_features(recipe)), as_json=False)
    print("", *statements(recipe), sep="\n")


def recipe_of(options: argparse.Namespace) -> Recipe:
    """The recipe that the options describe; raises `InvalidValue`, with the option that is wrong."""
    rule, coupling = meaning(options.rule, options.means)
    schedule, *fields = options.schedule
    values = {"rule": rule, "schedule": schedule, "regularizer.strength": options.weight_decay, "regularizer.coupling": coupling}
    for prefix, texts in (("rule", options.set), ("schedule", fields)):
        values |= {f"{prefix}.{name}": value for name, value in map(parse_override, texts)}
    for name in ("learning_rate", "batch_size", "steps", "decayed", "curvature"):
        values[name] = getattr(options, name)
    return override_all(Recipe(), values.items())


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
