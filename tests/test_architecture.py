"""What DESIGN.md promises of the source tree: who may import what, and that it stays readable."""

import ast
import functools
import pathlib
import subprocess
import sys

import pytest
import typer

from raysee.cli import app

ROOT = pathlib.Path(__file__).parent.parent
MODULES = sorted((ROOT / "raysee").rglob("*.py"))
SCRIPTS = sorted((ROOT / "jobs").rglob("*.py"))
LONGEST = 300
NOT_TEXT = {".gif", ".jpg", ".parquet", ".pdf", ".png", ".pyc"}


@functools.cache
def imports(path: pathlib.Path) -> set[str]:
    """Every module that a file imports anywhere, in functions too; `from a import b` counts as a and as a.b."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            package = ".".join(path.relative_to(ROOT).with_suffix("").parts[: -node.level]) if node.level else ""
            base = ".".join(filter(None, [package, node.module]))
            found |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return found


def users(module: str, paths: list[pathlib.Path]) -> set[str]:
    """The files that import `module` or what is below it, as paths below the root of the project."""
    return {
        path.relative_to(ROOT).as_posix()
        for path in paths
        if any(name == module or name.startswith(f"{module}.") for name in imports(path))
    }


def test_there_is_something_to_look_at() -> None:
    assert len(MODULES) > 40
    assert "raysee/distributed/train.py" in users("ray", MODULES)
    assert "raysee/commands/runs.py" in users("raysee.distributed.train", MODULES), "imports in functions are seen"


@pytest.mark.parametrize(
    ("module", "allowed"),
    [
        ("ray", ("raysee/distributed/",)),
        ("raysee.distributed", ("raysee/distributed/", "raysee/commands/", "jobs/")),
        ("raysee.cli", ("raysee/__main__.py", "jobs/")),
        ("sklearn.model_selection", ("raysee/evaluation/folds.py",)),
        ("raysee.commands", ("raysee/cli.py", "raysee/commands/")),
        ("fsspec", ("raysee/filesystems.py",)),
        ("s3fs", ("raysee/filesystems.py",)),
        ("botocore", ("raysee/filesystems.py",)),
        ("boto3", ()),
        ("pickle", ()),
        ("cloudpickle", ()),
        ("joblib", ()),
    ],
)
def test_only_these_import(module: str, allowed: tuple[str, ...]) -> None:
    strangers = {path for path in users(module, MODULES + SCRIPTS) if not path.startswith(allowed or ("nobody",))}
    assert not strangers


@pytest.mark.parametrize(
    ("package", "other", "allowed"),
    [
        ("synthesis", "raysee.corpora", set()),
        ("corpora", "raysee.synthesis", {"raysee.synthesis", "raysee.synthesis.marker"}),
    ],
)
def test_neither_the_voice_nor_the_corpora_know_each_other(package: str, other: str, allowed: set[str]) -> None:
    for path in sorted((ROOT / "raysee" / package).rglob("*.py")):
        used = {name for name in imports(path) if name == other or name.startswith(f"{other}.")}
        used = {name for name in used if name not in allowed and not name.startswith("raysee.synthesis.marker.")}
        assert not used, path


def test_nothing_is_unpickled() -> None:
    loads = {
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in MODULES + SCRIPTS
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and (node.value.id, node.attr) in {("torch", "load"), ("np", "load"), ("numpy", "load")}
    }
    assert not loads


@pytest.mark.parametrize(
    "place", ["raysee", "jobs", "tests", "benchmarks", "docs", "infra", "k8s", "README.md", "Makefile"]
)
def test_text_is_plain_ascii(place: str) -> None:
    root = ROOT / place
    files = [path for path in root.rglob("*") if path.is_file()] if root.is_dir() else [root]
    for path in files:
        if path.exists() and path.suffix not in NOT_TEXT:
            lines = path.read_bytes().splitlines()
            assert not [number for number, line in enumerate(lines, start=1) if not line.isascii()], path


def test_modules_stay_at_the_size_of_one_idea() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in MODULES}
    assert not {path: length for path, length in lengths.items() if length > LONGEST}


def test_help_is_quick_because_the_command_line_imports_nothing_heavy() -> None:
    code = "import sys, raysee.cli; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert not {"ray", "torch", "sklearn", "librosa", "matplotlib"} & set(loaded.stdout.split())
    assert "raysee" in loaded.stdout.split()


def test_every_command_is_in_the_readme() -> None:
    readme = ROOT / "README.md"
    if not readme.exists():
        pytest.skip("there is no README.md yet")
    commands = list(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    assert "manifest" in commands
    text = readme.read_text()
    assert not [command for command in commands if f"raysee {command}" not in text]
