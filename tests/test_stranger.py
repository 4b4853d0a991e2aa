"""A stranger's walk: a copy of the checkout, `make demo`, then every command of the README as it is written there."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import nn

from full_scale.removal import load

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = README + (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
LIMIT = 1200
"""Seconds after which a command counts as hanging."""
OF_THE_TEST_RUN = ("PYTHON", "PYTEST", "COV", "OMP_")
"""Prefixes of environment variables that a test run may set and a fresh terminal does not have."""
THEIRS = '''"""Somebody's own network."""
from torch import nn

def network():
    return nn.Sequential(
        nn.Conv2d(3, 12, 3, padding=1, bias=False), nn.BatchNorm2d(12), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(12, 20, 3, padding=1), nn.BatchNorm2d(20), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(20, 5),
    )
'''


def commands() -> list[str]:
    """Every line of the indented blocks that is a command, without its comment, but for those about files of one's own."""
    lines = re.findall(r"^    ((?:make|python) .*)$", PAGES, re.MULTILINE)
    given = [shlex.join(shlex.split(line, comments=True)) for line in lines]
    return [one for one in given if "MODEL.onnx" not in one and "yourpackage" not in one]


@dataclass(frozen=True)
class Walk:
    """Gives commands in a folder."""

    place: Path
    environment: dict[str, str]

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        """The command, which must succeed without a traceback."""
        done = subprocess.run(words, cwd=self.place, env=self.environment, capture_output=True, text=True, timeout=LIMIT)
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
        return done


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Walk:
    """In a copy of what is under version control, whose environment is that of these tests, after `make demo`."""
    if not (ROOT / ".git").exists() or shutil.which("make") is None:
        pytest.skip("no checkout here, or no make: these are the tests beside an installed wheel")
    clone = tmp_path_factory.mktemp("stranger") / "clone"
    listed = subprocess.check_output(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, text=True)
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, clone / name)
    (clone / ".venv").symlink_to(sys.prefix)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OF_THE_TEST_RUN)}
    given = Walk(clone, {**kept, "PATH": f"{clone / '.venv' / 'bin'}{os.pathsep}{kept['PATH']}"})
    # The environment is there: what would install it is called old.
    done = given("make", "-o", ".venv/.installed", "demo")
    assert "sparsity" in done.stdout
    assert (clone / "pictures" / "digits_sparsity.svg").is_file()
    return given


ELSEWHERE = ("make", "python -m figures explore", "python -m figures report")
"""The first and the last take minutes: `walk` has the one, `tests/figures/test_report.py` the other on small records."""


@pytest.mark.parametrize("command", [one for one in commands() if not one.startswith(ELSEWHERE)])
def test_a_command_of_the_readme_succeeds(walk: Walk, command: str) -> None:
    walk(*shlex.split(command))


def test_the_readme_installs_by_one_command() -> None:
    assert [one for one in commands() if one.startswith("make")] == ["make demo"], "`make test` is what runs this"


@pytest.mark.parametrize("command", [one for one in commands() if "explore" in one])
def test_the_explorer_answers_until_ctrl_c(walk: Walk, command: str) -> None:
    pytest.importorskip("bokeh")
    joined = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    environment = {**walk.environment, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(shlex.split(command), cwd=walk.place, env=environment, **joined) as process:
        assert process.stdout is not None
        told = next((line for line in process.stdout if "http://" in line), "")
        address = re.search(r"http://(?:localhost|127\.0\.0\.1):\d+\S*", told)
        page = urllib.request.urlopen(address[0]).read().decode() if address else ""
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=60)[0]
    assert address, told
    assert "<html" in page
    assert process.returncode in (0, 130, -signal.SIGINT), rest
    assert "Traceback" not in rest


def some_dead(network: nn.Module) -> nn.Module:
    """The network with a quarter of the filters behind each BatchNorm dead."""
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight[::4], module.bias[::4] = 0, -1
    return network.eval()


def test_a_network_that_is_not_ours_is_audited_and_shrunk(walk: Walk) -> None:
    (walk.place / "theirs.py").write_text(THEIRS)
    names: dict[str, Callable[[], nn.Module]] = {}
    exec(THEIRS, names)
    network = some_dead(names["network"]())
    torch.save(network.state_dict(), walk.place / "theirs.pt")
    words = ("theirs:network", "--weights", "theirs.pt", "--input", "1,3,32,32")
    audit = walk("python", "-m", "full_scale", "audit", *words).stdout
    assert "8 dead, 8 removable" in audit
    walk("python", "-m", "full_scale", "shrink", *words, "--out", "small.safetensors")
    smaller, images = load(walk.place / "small.safetensors", into=names["network"]()), torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(smaller.eval()(images), network(images))


def masked(text: str) -> list[list[str]]:
    """The lines of an output, with every number and bar the same: other processors round otherwise."""
    return [
        re.sub(r"[0-9][0-9,.e×+-]*|[█▒·]+", "#", re.sub(r"[-+]?[0-9.]+ %|#", "#", line)).split() for line in text.splitlines()
    ]


def test_the_python_of_the_readme_prints_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    examples = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", README, re.DOTALL)
    assert len(examples) == README.count("```python") == 2
    monkeypatch.chdir(tmp_path)
    for code, shown in examples:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            exec(code, {})
        assert masked(printed.getvalue()) == masked(shown)
    assert (tmp_path / "digits_sparsity.png").is_file()
