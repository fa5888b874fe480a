"""Every module imports without the optional packages, and no package imports one that stands above it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("skeleton", "fusion", "hybrid")  # each may import itself and what stands before it
OPTIONAL = ("mmengine", "mmcv", "mmdet", "mmpose", "mmaction", "peft", "onnxruntime", "pycocotools")
FILES = [file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py"))]


def name_of(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def test_every_module_imports_without_the_optional_packages():
    modules = [name_of(file) for file in FILES if "mmaction" not in file.name]
    program = (
        "import sys, importlib\n"
        f"for name in {OPTIONAL!r}: sys.modules[name] = None\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
    )
    run = subprocess.run([sys.executable, "-W", "ignore", "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-2000:]


def imported(file: Path) -> set[str]:
    """Modules of this project that a file imports at run time, in functions too."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    guarded = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node not in guarded:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import) and node not in guarded:
            found |= {alias.name for alias in node.names}
    return {name for name in found if name.split(".")[0] in PACKAGES}


@pytest.mark.parametrize("package", PACKAGES[:-1])
def test_imports_go_one_way(package):
    above = PACKAGES[PACKAGES.index(package) + 1 :]
    files = [file for file in FILES if name_of(file).split(".")[0] == package]
    assert {name_of(f): n for f in files for n in imported(f) if n.split(".")[0] in above} == {}


def test_no_module_waits_for_itself():
    """No circle of imports at the top of modules: each is imported alone, in a new process, in the order of a walk."""
    names = {name_of(file): file for file in FILES}
    edges = {name: {other for other in top_level(file) if other in names} - {name} for name, file in names.items()}
    seen: set[str] = set()

    def walk(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, f"circle: {' -> '.join([*path[path.index(name) :], name])}"
        if name not in seen:
            for other in sorted(edges[name]):
                walk(other, (*path, name))
            seen.add(name)

    for name in sorted(names):
        walk(name, ())


def top_level(file: Path) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    found = set()
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def test_rooms_stay_easy_to_survey():
    """Few things at the top of each package, and no file too long to read."""
    assert len([p for p in (ROOT / "hybrid").iterdir() if p.name not in ("__init__.py", "__pycache__")]) <= 11
    assert len([p for p in (ROOT / "skeleton").iterdir() if p.name not in ("__init__.py", "__pycache__")]) <= 15
    lengths = sorted(len(file.read_text(encoding="utf-8").splitlines()) for file in FILES)
    assert lengths[-1] <= 450
    assert lengths[len(lengths) // 2] <= 130
