"""Specs: frozen dataclasses that hold all that decides a result but the seed; their JSON form and their identity.

A field whose annotation is an abstract class ("rule: AbstractUpdateRule") is a choice: any final subclass, by its `name`.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import inspect
import json
import math
import types
import typing
from collections.abc import Hashable, Mapping
from typing import Any, TypeVar, cast

from mechanisms.validation import InvalidValue, UserError, require

Spec = TypeVar("Spec")
TYPE_KEY = "type"


def field_types(cls: type) -> dict[str, Any]:
    """Field name → resolved annotation of a spec class, in the order of definition."""
    return _resolved(cast(Hashable, cls))


@functools.cache
def _resolved(cls: Any) -> dict[str, Any]:
    hints = typing.get_type_hints(cls)
    return {f.name: hints[f.name] for f in dataclasses.fields(cls)}


def choices(abstract: type) -> dict[str, type]:
    """Name → final class of every choice below an abstract class, sorted by name."""
    found: dict[str, type] = {}
    children: list[type] = abstract.__subclasses__()
    for child in children:
        found |= choices(child) if child.__name__.startswith("Abstract") else {cast(Any, child).name: child}
    return dict(sorted(found.items()))


def is_choice(annotation: Any) -> bool:
    """Whether a field of this annotation holds one of several classes."""
    return inspect.isclass(annotation) and annotation.__name__.startswith("Abstract")


def to_json(spec: Any) -> dict[str, Any]:
    """The spec as plain JSON values, every field written, defaults included, cast by its annotation."""
    cls = type(spec)
    fields = {name: _plain(getattr(spec, name), hint, name) for name, hint in field_types(cls).items()}
    return {TYPE_KEY: getattr(cls, "name", cls.__name__), **fields}


def _plain(value: Any, annotation: Any, field: str) -> Any:
    if dataclasses.is_dataclass(value):
        return to_json(value)
    cast_value = cast_to(annotation, value, field)
    if isinstance(cast_value, tuple):
        return [_plain(v, _element(annotation), field) for v in cast_value]
    return cast_value


def _element(annotation: Any) -> Any:
    arguments = [a for a in typing.get_args(annotation) if a is not Ellipsis]
    return arguments[0] if arguments else Any


def cast_to(annotation: Any, value: Any, field: str) -> Any:
    """The value as its annotation means it (1 → 1.0 for a float, a list → a tuple); raises `InvalidValue` if it is not one."""
    options = typing.get_args(annotation)
    if isinstance(annotation, types.UnionType):
        return _cast_to_one_of(options, value, field)
    if typing.get_origin(annotation) is tuple:
        values = value if isinstance(value, list | tuple) else (value,)
        return tuple(cast_to(_element(annotation), v, field) for v in values)
    if annotation is bool:
        require(isinstance(value, bool), field, value, "true or false")
    elif annotation is int:
        whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        require(whole and not isinstance(value, bool), field, value, "a whole number")
        return int(value)
    elif annotation is float:
        number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        require(number, field, value, "a finite number")
        return float(value)
    elif annotation is str:
        require(isinstance(value, str), field, value, "a text")
    return value


def _cast_to_one_of(options: tuple[Any, ...], value: Any, field: str) -> Any:
    if value is None and type(None) in options:
        return None
    for option in options:
        try:
            return cast_to(option, value, field)
        except InvalidValue:
            continue
    raise InvalidValue(f"{field} = {value!r} is not valid: use {' or '.join(o.__name__ for o in options)}")


def from_json(cls: type[Spec], data: Mapping[str, Any]) -> Spec:
    """The spec that `to_json` wrote; raises `InvalidValue` on an unknown or a missing field."""
    hints = field_types(cls)
    unknown, missing = set(data) - set(hints) - {TYPE_KEY}, set(hints) - set(data)
    if unknown or missing:
        raise InvalidValue(f"{cls.__name__}: unknown fields {sorted(unknown)}, missing fields {sorted(missing)}")
    return cls(**{name: _revive(hint, data[name], name) for name, hint in hints.items()})


def _revive(annotation: Any, value: Any, field: str) -> Any:
    if isinstance(value, Mapping):
        return from_json(_class_of(annotation, value, field), value)
    if typing.get_origin(annotation) is tuple and isinstance(value, list):
        return tuple(_revive(_element(annotation), v, field) for v in value)
    return cast_to(annotation, value, field)


def _class_of(annotation: Any, value: Mapping[str, Any], field: str) -> type:
    return choose(annotation, str(value.get(TYPE_KEY)), field) if is_choice(annotation) else annotation


def choose(abstract: type, name: str, field: str) -> type:
    """The final class of that name; raises `InvalidValue` with the list of valid names."""
    found = choices(abstract)
    require(name in found, field, name, "one of " + ", ".join(found))
    return found[name]


def spec_id(spec: Any) -> str:
    """First 12 hexadecimal digits of the SHA-256 of the spec's canonical JSON: equal for equal settings, in every process."""
    text = json.dumps(to_json(spec), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def flatten(spec: Any, prefix: str = "") -> dict[str, Any]:
    """Dotted field name → plain value, the names of the command line; a choice stands under its own field by name."""
    flat: dict[str, Any] = {}
    for name in field_types(type(spec)):
        value = getattr(spec, name)
        if dataclasses.is_dataclass(value):
            if hasattr(value, "name"):
                flat[prefix + name] = cast(Any, value).name
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def override(spec: Spec, path: str, value: Any) -> Spec:
    """The spec with the field at a dotted path set to a value (for a choice: a name or an object)."""
    head, _, rest = path.partition(".")
    hints = field_types(type(spec))
    if head not in hints:
        raise InvalidValue(f"unknown field {path!r}: {type(spec).__name__} has " + ", ".join(flatten(spec)))
    current = getattr(spec, head)
    if rest:
        if not dataclasses.is_dataclass(current):
            raise InvalidValue(f"unknown field {path!r}: {head} has no fields of its own")
        value = override(current, rest, value)
    elif is_choice(hints[head]):
        value = value if isinstance(value, hints[head]) else choose(hints[head], str(value), path)()
    elif not dataclasses.is_dataclass(value):
        value = cast_to(hints[head], value, path)
    return cast(Spec, dataclasses.replace(cast(Any, spec), **{head: value}))


def parse_value(text: str) -> Any:
    """The value that a command-line text means: JSON where it is JSON, a list at commas, else the text itself.

    >>> parse_value("1e-3"), parse_value("adam"), parse_value("0.5,0.8"), parse_value("true")
    (0.001, 'adam', [0.5, 0.8], True)
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return [parse_value(part) for part in text.split(",") if part] if "," in text else text


def parse_override(text: str) -> tuple[str, Any]:
    """("field", value) of a command-line text "field=value"."""
    field, equals, value = text.partition("=")
    if not equals or not field or not value:
        raise UserError(f"{text!r} is not an override: write field=value, such as regularizer.strength=1e-3")
    return field, parse_value(value)
