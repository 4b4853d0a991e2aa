"""Every criterion on four features, by hand; what is refused; and a criterion of one's own, as docs/pruning.md says."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mechanisms
from mechanisms.measures.criteria import all_criteria, require_criteria, score
from mechanisms.records.rng import stream
from mechanisms.theory.feature import product_threshold
from mechanisms.validation import InvalidValue, UserError

ROOT = Path(__file__).parents[2]


def four(**columns: list[float]) -> pd.DataFrame:
    return pd.DataFrame({"layer": ["conv1", "conv1", "conv2", "conv2"], "feature": [0, 1, 0, 1], **columns})


BY_HAND: dict[str, tuple[dict[str, list[float]], list[float]]] = {
    "filter_l1": ({"incoming_l1": [3.0, 1.0, 2.0, 0.0]}, [3.0, 1.0, 2.0, 0.0]),
    "filter_l2": ({"incoming": [3.0, 1.0, 2.0, 0.0]}, [3.0, 1.0, 2.0, 0.0]),
    "geometric_median": ({"distance_sum": [3.0, 1.0, 2.0, 0.0]}, [3.0, 1.0, 2.0, 0.0]),
    "outgoing": ({"outgoing": [3.0, 1.0, 2.0, 0.0]}, [3.0, 1.0, 2.0, 0.0]),
    "scale": ({"scale": [-3.0, 1.0, -2.0, 0.0]}, [3.0, 1.0, 2.0, 0.0]),
    "product": ({"product": [-3.0, 1.0, -2.0, 0.0]}, [3.0, 1.0, 2.0, 0.0]),
    "apoz": ({"zero_share": [0.0, 0.25, 0.9, 1.0]}, [1.0, 0.75, 0.1, 0.0]),
    "mean_activation": ({"mean_activation": [3.0, 1.0, 2.0, 0.0]}, [3.0, 1.0, 2.0, 0.0]),
    "max_activation": ({"max_activation": [3.0, 1.0, 2.0, 0.0]}, [3.0, 1.0, 2.0, 0.0]),
    "selectivity": ({"selectivity": [0.0, 0.25, 0.9, 1.0]}, [1.0, 0.75, 0.1, 0.0]),
    "selectivity_tenth": ({"selectivity_1e-1": [0.0, 0.25, 0.9, 1.0]}, [1.0, 0.75, 0.1, 0.0]),
    "universality": ({"selectivity": [0.0, 0.25, 0.9, 1.0]}, [0.0, 0.25, 0.9, 1.0]),
    "universality_tenth": ({"selectivity_1e-1": [0.0, 0.25, 0.9, 1.0]}, [0.0, 0.25, 0.9, 1.0]),
    "taylor": ({"taylor": [3.0, 1.0, 2.0, 0.0]}, [3.0, 1.0, 2.0, 0.0]),
    "affine_gradient": ({"affine_gradient": [3.0, 1.0, 2.0, 0.0]}, [3.0, 1.0, 2.0, 0.0]),
    "fisher": ({"affine_taylor_square": [3.0, 1.0, 2.0, 0.0]}, [3.0, 1.0, 2.0, 0.0]),
    "gradient_scale": ({"denominator": [3.0, 1.0, 2.0, 0.0]}, [3.0, 1.0, 2.0, 0.0]),
    "redundancy": ({"redundancy": [2.0, 0.1, 0.5, 0.0]}, [2.0, 0.1, 0.5, 0.0]),
    # (E[t²] − E[t]) / (√(γ² + β²)·v) − λ: (0.6 − 0.1)/(5·2) − 0.01; nothing reads it; no length; no outgoing weight.
    "effective_strength": (
        {
            "scale": [3.0, -0.5, 0.0, 1.0],
            "shift": [4.0, 0.0, 0.0, 0.0],
            "outgoing": [2.0, np.nan, 1.0, 0.0],
            "affine_taylor": [0.1, -0.2, 0.0, 0.0],
            "affine_taylor_square": [0.6, 0.3, 0.0, 0.0],
            "effective_strength": [0.01, 0.02, 0.03, 0.04],
        },
        [0.05 - 0.01, 1.0 - 0.02, -0.03, -0.04],
    ),
}


@pytest.mark.parametrize("name", sorted(set(all_criteria()) - {"random"}))
def test_a_criterion_on_four_numbers(name: str) -> None:
    columns, expected = BY_HAND[name]
    found = score(name, four(**columns))
    np.testing.assert_allclose(found, expected, atol=1e-15)
    assert (found.dtype, found.name) == (np.float64, name)


@pytest.mark.parametrize("name", sorted(all_criteria()))
def test_every_criterion_says_what_it_is_and_where_it_comes_from(name: str) -> None:
    text = all_criteria()[name].__doc__ or ""
    assert text.partition("\n")[0].endswith(".")
    assert name == "random" or "Source" in text or "Derivation" in text


def test_chance_is_its_own_named_stream_of_the_seed() -> None:
    table = four().set_index(pd.Index([5, 6, 7, 8]))
    found = score("random", table, 3)
    np.testing.assert_array_equal(found, stream(3, "random criterion").random(4))
    assert found.index.tolist() == [5, 6, 7, 8]
    assert not found.equals(score("random", table, 4))


@pytest.mark.parametrize(("p", "dies"), [(0.002, True), (0.006, True), (0.03, False), (0.1, False)])
def test_effective_strength_finds_the_threshold_of_the_product_model(p: float, dies: bool) -> None:
    """P9 at a balanced product u under quadratic loss: dL/du = −pk(a − u), so E[t] = u·dL/du, and E[t²] = u²·pk as curvature."""
    curvature, target, strength, u = 0.1, 1.0, 1e-3, 0.3
    length = u**0.5
    mean, square = -u * p * curvature * (target - u), u**2 * p * curvature
    table = four(
        scale=[length * 0.6] * 4,
        shift=[-length * 0.8] * 4,
        outgoing=[length] * 4,
        affine_taylor=[mean] * 4,
        affine_taylor_square=[square] * 4,
        effective_strength=[strength] * 4,
    )
    found = score("effective_strength", table)
    np.testing.assert_allclose(found, p * curvature * target - strength, rtol=1e-12)
    assert (found < 0).all() == dies == (product_threshold(strength, p=p, curvature=curvature, target=target) == 0)


def test_what_is_refused() -> None:
    with pytest.raises(InvalidValue, match=r"criterion = 'gamma' is not valid: use one of .*filter_l1.*scale"):
        score("gamma", four())
    with pytest.raises(InvalidValue, match="criteria = 'gamma'"):
        require_criteria("criteria", ("scale", "gamma"))
    with pytest.raises(UserError, match="criterion scale needs the column 'scale'"):
        score("scale", four())
    with pytest.raises(UserError, match="criterion scale has no value for features of conv2"):
        score("scale", four(scale=[1.0, 2.0, np.nan, np.nan]))
    with pytest.raises(InvalidValue, match="a feature twice"):
        score("scale", pd.concat([four(scale=[1.0] * 4)] * 2))


def test_the_recipe_of_the_documentation_works_as_written(tmp_path: Path) -> None:
    """The file of docs/pruning.md, put where it says, is a criterion at once, and its own check passes."""
    text = (ROOT / "docs" / "pruning.md").read_text(encoding="utf-8")
    (place, code, check) = re.search(
        r"`(mechanisms/measures/criteria/\w+\.py)`.*?```python\n(.*?)```.*?```python\n(.*?)```", text, re.DOTALL
    ).groups()  # type: ignore[union-attr]
    shutil.copytree(Path(mechanisms.__file__).parent, tmp_path / "mechanisms", ignore=shutil.ignore_patterns("__pycache__"))
    assert not (tmp_path / place).exists()
    (tmp_path / place).write_text(code, encoding="utf-8")
    done = subprocess.run([sys.executable, "-c", check], cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    name = re.findall(r"^def (\w+)", code, re.MULTILINE)[0]
    listed = f"from mechanisms.measures.criteria import all_criteria; assert {name!r} in all_criteria()"
    assert subprocess.run([sys.executable, "-c", listed], cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}).returncode == 0
