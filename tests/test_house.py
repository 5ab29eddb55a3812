"""The promises of the house itself: who imports whom, what is never done, and documents that say what is true."""

import ast
import re
import subprocess
import sys
import tomllib
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("ingest", "retrieval", "finetune", "app", "eval")
MAY_IMPORT = {
    "ingest": set(),
    "retrieval": {"ingest"},
    "finetune": {"ingest"},
    "app": {"ingest", "retrieval", "finetune"},
    "eval": {"ingest", "retrieval", "finetune", "app"},
}
MODULES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


def imported_rooms(tree: ast.Module) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names & set(ROOMS)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_imports_go_one_way(path: Path) -> None:
    room = path.relative_to(ROOT).parts[0]
    allowed = MAY_IMPORT[room] | {room}
    if path == ROOT / "app" / "cli.py" or path.parent == ROOT / "app" / "commands":
        allowed = allowed | {"eval"}  # the one exception, and only inside functions
        top_level = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.ImportFrom | ast.Import)]
        assert "eval" not in imported_rooms(ast.Module(top_level, []))
    assert imported_rooms(ast.parse(path.read_text())) <= allowed


@pytest.mark.parametrize("room", ROOMS)
def test_the_folders_of_a_room_import_one_way(room: str) -> None:
    graph: dict[str, set[str]] = {}
    for path in (ROOT / room).glob("*/*.py"):
        found = re.findall(rf"^\s*from {room}\.(\w+)(?:\.\w+)? import", path.read_text(), re.M)
        folders = {name for name in found if (ROOT / room / name).is_dir()} - {path.parent.name}
        graph.setdefault(path.parent.name, set()).update(folders)
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the folders


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_modules_and_functions_stay_readable(path: Path) -> None:
    source = path.read_text()
    assert source.count("\n") <= 400
    assert ast.get_docstring(ast.parse(source)), "a module opens with a sentence on what it is"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 70, node.name


def test_nothing_unsafe_is_ever_called() -> None:
    for path in MODULES:
        source = path.read_text()
        for pattern in (
            r"\bimport pickle",
            r"pickle\.load",
            r"allow_pickle=True",
            r"trust_remote_code=True",
            r"(?<![.\w])eval\(",
        ):
            assert not re.search(pattern, source), f"{pattern} in {path}"


def test_help_answers_without_loading_anything_heavy() -> None:
    code = (
        "import sys; sys.argv = ['deskmate', '--help']\n"
        "from app.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'transformers', 'faiss', 'gradio', 'numpy', 'pydantic', 'tantivy'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_readme_names_only_commands_that_exist() -> None:
    from app.cli import app

    commands = {command.name or command.callback.__name__.replace("_", "-") for command in app.registered_commands}
    commands |= {group.name for group in app.registered_groups}
    text = (ROOT / "README.md").read_text()
    named = set(re.findall(r"deskmate ([a-z][a-z-]+)\b(?=[^.]*?)", "\n".join(re.findall(r"```sh(.*?)```", text, re.S))))
    assert named, "the README shows commands"
    assert named <= commands


def test_every_setting_is_documented() -> None:
    from app.report import _rows
    from app.settings import Settings

    text = (ROOT / "docs" / "settings.md").read_text()
    for name, value, meaning in _rows(Settings()):
        assert f"| `{name}` | `{value!r}` |" in text, f"docs/settings.md lacks {name}, or its default"
        assert meaning, f"{name} has no description"


def test_each_of_the_ten_journeys_is_walked_by_a_test_that_axe_follows() -> None:
    text = (ROOT / "docs" / "journeys.md").read_text()
    rows = re.findall(r"^\| (\d+) \|.*", text, re.M)
    assert rows == [str(number) for number in range(1, 11)]
    for name, test in re.findall(r"`(\w+\.py)::(\w+)`", text):
        source = (ROOT / "tests" / name).read_text()
        assert "pytestmark = BROWSER" in source
        found = [one for one in ast.parse(source).body if isinstance(one, ast.FunctionDef) and one.name == test]
        assert found, f"docs/journeys.md names {test}, which {name} lacks"
        assert re.search(r"accessible\(|violations\(", ast.get_source_segment(source, found[0]) or ""), test
    for row in re.findall(r"^\| \d+ \|.*", text, re.M):
        assert "::test_" in row


def test_the_wheel_packs_the_five_rooms() -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    assert build["targets"]["wheel"]["packages"] == ["ingest", "retrieval", "finetune", "app", "eval"]
