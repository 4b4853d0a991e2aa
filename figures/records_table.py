"""The experiments behind figures and verdicts: their specs, how many records, who made them, with which versions."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mechanisms.records.loading import Need, is_reference, manifests, specs_of
from mechanisms.records.specs import flatten, spec_id
from mechanisms.system.console import in_one_text


def experiments(needs: Iterable[Need], runs: Path) -> list[dict[str, Any]]:
    """One row a command whose records are there."""
    return [_experiment(need, runs) for need in {need.command: need for need in needs}.values()]


def _experiment(need: Need, runs: Path) -> dict[str, Any]:
    made, committed = manifests(need, runs), sum(is_reference(need, runs))
    specs = {spec_id(spec): {name: in_one_text(value) for name, value in flatten(spec).items()} for spec in specs_of(need)}
    fields = list(dict.fromkeys(name for spec in specs.values() for name in spec))
    differing = [name for name in fields if len({spec.get(name) for spec in specs.values()}) > 1]
    first = next(iter(specs.values()))
    return {
        "command": need.command,
        "records": len(made),
        "committed": committed,
        "code": sorted({_code(manifest) for manifest in made}),
        "versions": sorted({_versions(manifest) for manifest in made}),
        "shared": {name: first[name] for name in fields if name in first and name not in differing},
        "differing": differing,
        "specs": specs,
    }


def _code(manifest: dict[str, Any]) -> str:
    git = manifest["git"]
    return "no checkout" if git is None else git["commit"][:7] + ("+" if git["dirty"] else "")


def _versions(manifest: dict[str, Any]) -> str:
    return ", ".join(f"{name} {version}" for name, version in sorted(manifest["versions"].items()))
