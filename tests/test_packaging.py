"""The recipe of the installation, with stand-ins for Python and pip: nothing is loaded from a network."""

import os
import re
import runpy
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
LINT = ["run -m ruff check .", "run -m ruff format --check .", "run -m mypy"]
TOOLS = ["sh", "make", "cat", "cksum", "cut", "rm", "mkdir", "touch", "cp", "chmod", "dirname", "true"]

# Acts as python3.11: `-c` succeeds, `-m venv DIR` copies itself, `-m pip install` is logged or fails.
STAND_IN = """#!/bin/sh
case "$1 $2" in
  "-m venv") mkdir -p "$3/bin" && cp "$0" "$3/bin/python" && chmod +x "$3/bin/python" ;;
  "-m pip")
    [ "$3" = --version ] && exit 0
    echo "pip $*" >> "$LOG"
    case "$*" in *${FAIL:-nothing}*) exit 1 ;; esac ;;
  "-c "*) exit ${WRONG_VERSION:-0} ;;
  *) echo "run $*" >> "$LOG" ;;
esac
"""


@pytest.fixture
def place(tmp_path):
    """A folder with the recipe and a PATH that holds only the stand-in and plain tools."""
    (tmp_path / "bin").mkdir()
    for tool in TOOLS:
        (tmp_path / "bin" / tool).symlink_to(shutil.which(tool))
    (tmp_path / "bin" / "python3.11").write_text(STAND_IN)
    (tmp_path / "bin" / "python3.11").chmod(0o755)
    (tmp_path / "project").mkdir()
    for name in ("Makefile", "setup.py", "constraints.txt", ".ci"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / "project" / name)
    return tmp_path


def make(place, *arguments, command=("make",), **more):
    environment = {"PATH": str(place / "bin"), "LOG": str(place / "log"), "HOME": str(place), **more}
    return subprocess.run(
        [*command, *arguments],
        cwd=place / "project",
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


def log(place):
    return (place / "log").read_text().splitlines() if (place / "log").exists() else []


def test_setup_installs_once(place):
    assert make(place, "setup").returncode == 0
    first = log(place)
    assert len(first) == 3
    assert all("-c constraints.txt" in line for line in first)
    assert "torch torchvision -e .[vision,openmmlab,lora,onnx,dev]" in first[1]
    assert first[2].endswith("--no-deps mmengine mmcv-lite mmdet mmpose mmaction2")
    again = make(place, "setup")
    assert (again.returncode, log(place)) == (0, first)
    assert again.stdout.strip() == ".venv is ready"


@pytest.mark.parametrize("name", ["constraints.txt", "setup.py", "Makefile"])
def test_a_changed_recipe_installs_again(place, name):
    make(place, "setup")
    with (place / "project" / name).open("a") as file:
        file.write("\n")
    make(place, "setup")
    assert len(log(place)) == 6
    assert len(list((place / "project" / ".venv").glob(".installed-*"))) == 1


def test_a_moved_folder_installs_again(place):
    make(place, "setup")
    (place / "project").rename(place / "elsewhere")
    shutil.copytree(place / "elsewhere", place / "project" / "deeper")
    assert make(place, "-C", "deeper", "setup").returncode == 0
    assert len(log(place)) == 6


@pytest.mark.parametrize(
    ("fail", "message"),
    [
        ("setuptools", "setup failed: pip could not reach a package registry"),
        ("torchvision", "setup failed: the packages of constraints.txt could not be installed"),
        ("mmengine", "setup failed: the OpenMMLab packages could not be installed"),
    ],
)
def test_a_failure_is_one_sentence_and_is_not_forgotten(place, fail, message):
    failed = make(place, "setup", FAIL=fail)
    assert failed.returncode != 0
    sentences = [line for line in failed.stderr.splitlines() if line.startswith("setup failed")]
    assert len(sentences) == 1
    assert sentences[0].startswith(message)
    assert not list((place / "project" / ".venv").glob(".installed-*"))
    assert make(place, "setup").returncode == 0


def test_no_python_is_one_sentence(place):
    failed = make(place, "setup", WRONG_VERSION="1")
    assert failed.returncode != 0
    assert "setup failed: expected Python 3.11 or 3.12 with venv, found none on PATH" in failed.stderr
    assert log(place) == []


def test_targets_set_up_first(place):
    make(place, "test", "ARGS=-k x")
    assert log(place)[3:] == ["run -m pytest -k x"]
    make(place, "demo")
    make(place, "lint")
    assert log(place)[4:] == ["run tools/demo.py", *LINT]
    assert "make demo" in make(place, "help").stdout
    assert make(place, "clean").returncode == 0
    assert not (place / "project" / ".venv").exists()


def test_ci_checks_the_style_and_runs_the_tests(place):
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    assert make(place, command=("sh", ".ci/run")).returncode == 0
    assert log(place)[-4:] == [*LINT, "run -m pytest"]


@pytest.fixture
def described(monkeypatch):
    """What setup.py hands to setuptools."""
    found = {}
    monkeypatch.setattr("setuptools.setup", lambda **more: found.update(more))
    monkeypatch.chdir(ROOT)
    runpy.run_path(str(ROOT / "setup.py"))
    return found


def pins():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    wanted = [Requirement(line) for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"===?[^,*]+", str(one.specifier)) for one in wanted)
    return {canonicalize_name(one.name): str(one.specifier).lstrip("=") for one in wanted}


def requirements(described):
    """All of install_requires and of the extras."""
    groups = [described["install_requires"], *described["extras_require"].values()]
    return [Requirement(one) for group in groups for one in group]


def test_every_range_holds_its_pin(described):
    for requirement in requirements(described):
        assert requirement.specifier.contains(pins()[canonicalize_name(requirement.name)]), requirement


def test_everything_that_ends_up_installed_is_pinned(described):
    openmmlab = ["mmengine", "mmcv-lite", "mmdet", "mmpose", "mmaction2"]
    known = pins()
    assert set(openmmlab) <= set(known)
    waiting, seen = requirements(described), set()
    while waiting:
        requirement = waiting.pop()
        key = (canonicalize_name(requirement.name), *sorted(requirement.extras))
        if key in seen:
            continue
        seen.add(key)
        assert key[0] in known, f"{requirement} is not in constraints.txt"
        try:
            declared = distribution(requirement.name).requires or []
        except PackageNotFoundError:
            continue
        for one in map(Requirement, declared):
            extras = requirement.extras or {""}
            if one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in extras):
                waiting.append(one)
    assert len(seen) > 60


def test_the_package_says_what_it_must(described):
    assert described["name"] == "hybrid-pose"
    assert described["python_requires"] == ">=3.11,<3.13"
    assert {"skeleton", "fusion", "hybrid", "hybrid.data", "hybrid.scoring"} <= set(described["packages"])
    folders = {path.parent for top in ("skeleton", "fusion", "hybrid") for path in (ROOT / top).rglob("*.py")}
    assert {".".join(folder.relative_to(ROOT).parts) for folder in folders} == set(described["packages"])
    lightning = next(one for one in described["install_requires"] if one.startswith("lightning"))
    for version in ("2.6.2", "2.6.3"):
        assert not Requirement(lightning).specifier.contains(version)


def test_nothing_in_the_core_fixes_torch(described):
    core = [Requirement(one) for one in described["install_requires"]]
    assert "torchvision" not in {one.name for one in core}
    torch = next(one for one in core if one.name == "torch")
    for version in ("2.6.0", "2.11.0+cpu", "2.13.0+cpu"):
        assert torch.specifier.contains(version)


def test_citation_and_license():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["license"] == "Apache-2.0"
    assert citation["authors"] == [{"name": "The hybrid-pose authors"}]
    assert "END OF TERMS AND CONDITIONS" in (ROOT / "LICENSE").read_text()
