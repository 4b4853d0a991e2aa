"""Where in a file the names of a network stand: below which key or prefix, and what is beside them."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mechanisms.validation import UserError

USUAL = ("state_dict", "model_state_dict", "model", "module", "net", "network")
"""Keys under which training programs save the weights; where nothing fits, the names below the first one are shown."""
WRAPPERS = frozenset({"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"})
"""What data parallelism, compilation, sharding and recomputation put into names, in front or in the middle."""
COUNTER = "num_batches_tracked"
"""A buffer that older files lack, and that no output depends on."""
OWN_STATE = "_extra_state"
"""The name of what a module saves as it likes: it is not looked into."""
DEEPEST = 8
TOP = "."
"""What `--weights-key` says for names that stand at the top of a file."""
SHOWN = 3


@dataclass(frozen=True)
class Placed:
    """The part of a file that is taken for the weights: by the network's names, what has no such name, what is beside."""

    label: str
    """The key or prefix, with dots; empty at the top of the file."""
    tensors: dict[str, Any]
    strange: list[str]
    beside: list[str]


def flat(content: Any) -> dict[str, Any]:
    """Path → value of all that a file holds: keys and places joined by dots; what stands under two keys is there once.

    Raises:
        UserError: two values have the same path.
    """
    found: dict[str, Any] = {}
    seen: set[int] = set()
    waiting: deque[tuple[str, int, Any]] = deque([("", 0, content)])
    while waiting:
        prefix, depth, held = waiting.popleft()
        if id(held) in seen or not isinstance(held, Mapping | list | tuple):
            continue
        seen.add(id(held))
        for key, value in held.items() if isinstance(held, Mapping) else enumerate(held):
            name = f"{prefix}{key}"
            if isinstance(value, Mapping | list | tuple) and key != OWN_STATE and depth < DEEPEST:
                waiting.append((f"{name}.", depth + 1, value))
            elif name in found:
                raise UserError(f"the file has {name} twice: give one in which every name stands once")
            else:
                found[name] = value
    return found


def placed(held: dict[str, Any], own: Collection[str], key: str | None, file: Path) -> Placed:
    """Where the names of a network stand among those of a file (see `flat`), below `key` where one is given.

    If nothing has all of them, it is the place that has most, else a usual key, else the top.

    Raises:
        UserError: there is no such key, or several places have all names.
    """
    start = "" if key in (None, "", TOP) else f"{str(key).removesuffix('.')}."
    below = {name.removeprefix(start): name for name in held if name.startswith(start)}
    if not below:
        raise UserError(f"--weights-key {key} is not in {file}: it holds {few(_tops(held))}")
    bare_own, bare = {_bare(name): name for name in own}, {_bare(name): name for name in below}
    if len(bare_own) < len(own) or len(bare) < len(below):
        bare_own, bare = {name: name for name in own}, {name: name for name in below}
    needed = [name for name in bare_own if not name.endswith(COUNTER)]
    counts = _counts(bare, set(needed))
    whole = [prefix for prefix, count in counts.items() if count == len(needed)]

    def label(prefix: str) -> str:
        raw = bare.get(prefix + needed[0], "") if needed else ""
        return (start + raw.removesuffix(needed[0]) if needed and raw.endswith(needed[0]) else start + prefix).strip(".")

    if key is not None and "" in whole:
        chosen = ""
    elif len(whole) > 1:
        labels = [label(prefix) or TOP for prefix in whole]
        times = f"{file} holds weights of this network {len(whole)} times, under {few(labels, 8)}"
        raise UserError(f"{times}: choose by --weights-key {labels[-1]}")
    else:
        chosen = whole[0] if whole else _nearest(counts, len(needed), bare)
    inner = tuple(prefix for prefix in whole if prefix != chosen and prefix.startswith(chosen))
    mine = [name for name in bare if name.startswith(chosen) and not (inner and name.startswith(inner))]
    tensors = {bare_own[rest]: held[below[bare[name]]] for name in mine if (rest := name.removeprefix(chosen)) in bare_own}
    strange = [bare[name].removeprefix(chosen) for name in mine if name.removeprefix(chosen) not in bare_own]
    taken = {below[bare[name]] for name in mine}
    return Placed(label(chosen), tensors, strange, _beside([name for name in held if name not in taken], taken, held))


def few(names: Iterable[str], shown: int = SHOWN) -> str:
    """The first of these names, and how many there are more."""
    listed = list(names)
    more = f" and {len(listed) - shown} more" if len(listed) > shown else ""
    return (", ".join(listed[:shown]) + more) or "nothing"


def _bare(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in WRAPPERS) or name


def _counts(names: Iterable[str], own: set[str]) -> Counter[str]:
    """Prefix → how many of the network's names stand behind it."""
    depth = max((name.count(".") + 1 for name in own), default=0)
    counts: Counter[str] = Counter()
    for name in names:
        parts = name.split(".")
        for first in range(max(0, len(parts) - depth), len(parts)):
            if (rest := ".".join(parts[first:])) in own:
                counts[name.removesuffix(rest)] += 1
    return counts


def _nearest(counts: Counter[str], needed: int, names: Iterable[str]) -> str:
    best = max(counts, key=lambda prefix: (counts[prefix], -len(prefix)), default="")
    if 2 * counts[best] >= needed > 0:
        return best
    tops = _tops(name for name in names if "." in name)
    return next((f"{usual}." for usual in USUAL if usual in tops), "")


def _tops(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(name.partition(".")[0] for name in names))


def _beside(others: list[str], taken: set[str], held: dict[str, Any]) -> list[str]:
    """The tensors that are not taken, each by the shortest path that leaves those that are."""
    import torch

    inside = {".".join(parts[:end]) for parts in (name.split(".") for name in taken) for end in range(len(parts))}
    found: dict[str, None] = {}
    for name in others:
        if isinstance(held[name], torch.Tensor):
            parts = name.split(".")
            paths = (".".join(parts[:end]) for end in range(1, len(parts) + 1))
            found[next((path for path in paths if path not in inside), name)] = None
    return list(found)
