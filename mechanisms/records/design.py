"""Change fields of all specs of an experiment, and keep what makes it an experiment: its controls and its differences."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from mechanisms.records.specs import UnknownField, field_types, flatten, override, override_all, spec_id
from mechanisms.validation import UserError, require_above

Change = tuple[str, Any]
"""A dotted field name and its new value."""
STRENGTH = "strength"
TORCH_NAMES = {"lr": "learning_rate", "weight_decay": "regularizer.strength"}
"""Name that torch has for a setting → its field; besides, `epochs` are passes over the training images, in place of `steps`."""
EPOCHS = "epochs"
MAX_FIELDS = 4
"""As many fields tell a spec from the others in a message."""


def changed(specs: Sequence[Any], changes: Sequence[Change], tell: Callable[[str], None]) -> tuple[Any, ...]:
    """Apply changes to every spec that they concern, and tell what was left alone.

    A spec whose strength is 0 beside others that have one is a control: a new strength leaves it as it is. A field that only some
    specs have is set in these. Specs that became equal are all returned.

    Args:
        specs: the specs of an experiment.
        changes: what to set, in the order given.
        tell: called with one line for each thing that was left alone or became equal.

    Raises:
        UnknownField: no spec has the field.
        UserError: a value is not valid.
    """
    epochs = [value for field, value in changes if field == EPOCHS][-1:]
    changes = [(_own_name(field, specs[0]), value) for field, value in changes if field != EPOCHS]
    labels = [_label(spec, specs) for spec in specs]
    found, left = [], dict[str, list[int]]()
    for number, spec in enumerate(specs):
        concerned = [change for change in changes if not _is_control(spec, change, specs)]
        new, errors = _applied(spec, concerned)
        found.append(new)
        for text, error in errors.items():
            left.setdefault(text, []).append(number)
            if len(left[text]) == len(specs):
                raise error
    for change in changes:
        controls = [number for number, spec in enumerate(specs) if _is_control(spec, change, specs)]
        if controls:
            tell(f"{_text(change)} leaves the control without a regularizer as it is: {_of(controls, labels)}")
    for text, numbers in left.items():
        tell(f"{text} is not a field of all settings; unchanged: {_of(numbers, labels)}")
    if changes:
        for group in _equal(found):
            if len({spec_id(specs[number]) for number in group}) > 1:
                tell(f"equal by now, and counted once: {_of(group, labels)}")
    return tuple(_lasting(spec, *epochs) for spec in found) if epochs else tuple(found)


def _own_name(field: str, spec: Any) -> str:
    """The field of a spec, or of the training in it, that a name of torch's means; other names stay."""
    name = TORCH_NAMES.get(field, field)
    return f"train.{name}" if name != field and hasattr(spec, "train") else name


def _lasting(spec: Any, epochs: Any) -> Any:
    """The spec with as many steps as so many passes over the training images have."""
    require_above(EPOCHS, epochs, 0)
    train = getattr(spec, "train", spec)
    images = getattr(getattr(train, "data", None), "train_size", None)
    if images is None:
        raise UserError(f"{EPOCHS}={epochs}: how many training images there are is not known here, set steps")
    steps = max(1, round(epochs * (images // train.batch_size)))
    return override(spec, "steps" if train is spec else "train.steps", steps)


def _applied(spec: Any, changes: list[Change]) -> tuple[Any, dict[str, UnknownField]]:
    """The spec with the changes but for those whose fields it does not have, and what these were refused with."""
    refused: dict[str, UnknownField] = {}
    while True:
        try:
            return _with(spec, changes), refused
        except UnknownField as error:
            unknown = next(change for change in changes if f".{change[0]}".endswith(f".{error.path}"))
            changes = [change for change in changes if change is not unknown]
            refused[_text(unknown)] = error


def _with(spec: Any, changes: list[Change]) -> Any:
    if "axes" in field_types(type(spec)):
        return functools.reduce(lambda grid, change: grid.with_field(*change), changes, spec)
    for field, value in changes:
        if isinstance(value, list) and isinstance(_field(spec, field), int | float | str):
            raise UserError(f"{field}={value}: this suite takes one value a field; run the command once for each")
    return override_all(spec, changes)


def _field(spec: Any, path: str) -> Any:
    for part in path.split("."):
        spec = getattr(spec, part, None)
    return spec


def _is_control(spec: Any, change: Change, specs: Sequence[Any]) -> bool:
    path = change[0]
    return path.rpartition(".")[2] == STRENGTH and _field(spec, path) == 0 and any(_field(one, path) for one in specs)


def _equal(specs: list[Any]) -> list[list[int]]:
    groups: dict[str, list[int]] = {}
    for number, spec in enumerate(specs):
        groups.setdefault(spec_id(spec), []).append(number)
    return [group for group in groups.values() if len(group) > 1]


def _label(spec: Any, specs: Sequence[Any]) -> str:
    """What tells a spec from the others: the fields in which they differ."""
    every, own = [flatten(one) for one in specs], flatten(spec)
    differing = [name for name in own if any(one.get(name, own[name]) != own[name] for one in every)]
    return ", ".join(f"{name}={own[name]}" for name in differing[:MAX_FIELDS]) or "the only one"


def _text(change: Change) -> str:
    return f"{change[0]}={change[1]}"


def _of(numbers: list[int], labels: list[str]) -> str:
    return f"{len(numbers)} of {len(labels)} ({'; '.join(labels[number] for number in numbers[:MAX_FIELDS])})"
