"""The rules of the house: who imports whom, what starts without torch, how long a file and a function are."""

import ast
import graphlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import mechanisms

ROOT = Path(mechanisms.__file__).resolve().parents[1]
ROOMS = {"mechanisms": set(), "toy": {"mechanisms"}, "full_scale": {"mechanisms"}, "figures": {"mechanisms", "toy", "full_scale"}}
MAKEFILE = Path(__file__).parents[1] / "Makefile"
FILES = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]


def imports(path):
    """Top-level names of all modules that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def test_rooms_import_only_what_they_may():
    offenders = []
    for path in FILES:
        room, found = path.relative_to(ROOT).parts[0], set(imports(path))
        strange = (found & set(ROOMS)) - ROOMS[room] - {room} | ({"torch"} & found if room != "full_scale" else set())
        offenders += [f"{path}: {name}" for name in strange]
    assert not offenders


def at_import(node):
    """The statements below a node that run when the module is imported."""
    for child in ast.iter_child_nodes(node):
        only_types = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
        if not only_types and not isinstance(child, ast.FunctionDef | ast.Lambda):
            yield child
            yield from at_import(child)


def test_no_module_imports_itself_by_a_detour():
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in FILES}
    graph = {name: set() for name in names}
    for name, path in names.items():
        for node in at_import(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                graph[name] |= {alias.name for alias in node.names} & set(names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                inside = {f"{node.module}.{alias.name}" for alias in node.names}
                graph[name] |= {one if one in names else node.module for one in inside} & set(names)
    assert sum(map(len, graph.values())) > len(names)
    graphlib.TopologicalSorter(graph).prepare()


@pytest.mark.parametrize(
    ("command", "absent"),
    [
        (["toy", "list"], {"torch", "pandas", "scipy.stats", "numba", "matplotlib"}),
        (["toy", "show", "decay"], {"torch", "pandas", "scipy.stats", "numba"}),
        (["full_scale", "list"], {"torch", "pandas", "sklearn"}),
        (["figures", "list"], {"torch"}),
    ],
)
def test_quick_verbs_load_nothing_heavy(command, absent):
    code = (
        "import runpy, sys\n"
        f"sys.argv = {command!r}\n"
        f"try: runpy.run_module({command[0]!r}, run_name='__main__')\n"
        "except SystemExit as leaving: assert leaving.code == 0, leaving.code\n"
        f"print('LOADED', sorted({absent!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip().endswith("LOADED []"), done.stdout[-300:] + done.stderr


def test_files_are_at_most_400_lines():
    assert not [path for path in FILES if path.read_text(encoding="utf-8").count("\n") > 400]


def test_functions_are_at_most_60_lines():
    found = [(path, node) for path in FILES for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))]
    functions = [(path, node) for path, node in found if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert not [f"{path}: {node.name}" for path, node in functions if node.end_lineno - node.lineno + 1 > 60]


def test_no_room_has_more_than_14_modules():
    """Collections of like things excepted: a figure a file."""
    rooms = {path.parent for path in FILES} - {ROOT / "figures" / "gallery"}
    own = {room: [path for path in room.glob("*.py") if not path.name.startswith("__")] for room in rooms}
    assert not {str(room): len(modules) for room, modules in own.items() if len(modules) > 14}


def test_every_room_says_what_lives_there():
    rooms = {path.parent for path in FILES if "reference" not in path.parts}
    assert not [room for room in rooms if not ast.get_docstring(ast.parse((room / "__init__.py").read_text(encoding="utf-8")))]


def test_no_pickle_and_no_eval():
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        assert "allow_pickle=True" not in text
        calls = {n.func.id for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
        assert not calls & {"eval", "exec"}
        assert "pickle" not in set(imports(path))


@pytest.mark.skipif(not MAKEFILE.is_file(), reason="the tests stand alone, without the checkout")
def test_what_make_check_runs_is_there():
    quick = re.search(r"^QUICK := (.*?[^\\])$", MAKEFILE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    paths = quick[1].replace("\\", "").split()
    assert len(paths) > 10
    assert not [path for path in paths if not (MAKEFILE.parent / path).is_file()]
