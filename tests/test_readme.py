"""The pages say what is so: commands, keys, links, paths and examples of README.md and docs/, first lines of configs/."""

import importlib
import json
import re
import shlex
import xml.etree.ElementTree as ElementTree
from functools import cache
from pathlib import Path

import pytest

from hybrid.config.loading import help_text, load_config
from hybrid.data.sample import from_json
from hybrid.errors import ConfigError
from hybrid.runs.kinds import KINDS, kind_of
from skeleton.events.limb_event import event_from_json
from skeleton.events.vocabulary import vocabulary

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
README = PAGES[0].read_text(encoding="utf-8")
SCHEMAS = {  # where each tool's keys stand; imported when asked for, because one of them brings transformers
    "train": ("hybrid.config.instruction", "TrainConfig"),
    "test": ("hybrid.config.instruction", "TrainConfig"),
    "ask": ("hybrid.runs.ask", "AskConfig"),
    "extract": ("hybrid.config.extraction", "ExtractConfig"),
    "prepare marionette": ("hybrid.config.datasets", "PrepareConfig"),
    "prepare folder": ("hybrid.config.datasets", "FolderConfig"),
    "prepare mocap": ("hybrid.config.datasets", "MocapConfig"),
    "prepare proxy": ("hybrid.config.datasets", "ProxyConfig"),
    "prepare events": ("hybrid.datasets.narrations", "EventsConfig"),
    "prepare import": ("hybrid.datasets.import_export", "ImportConfig"),
    "prepare export": ("hybrid.config.datasets", "ExportConfig"),
    "summarize": ("hybrid.summary.summarize", "SummaryConfig"),
    "bench checker": ("hybrid.benches.checker", "CheckerBench"),
    "bench encoder": ("hybrid.benches.encoder", "EncoderBench"),
    "bench equality": ("hybrid.benches.equality", "EqualityBench"),
    "bench events": ("hybrid.benches.events", "EventsBench"),
    "bench extract": ("hybrid.benches.extraction", "ExtractBench"),
    "bench limbs": ("hybrid.benches.limbs", "LimbsBench"),
    "bench memory": ("hybrid.benches.memory", "MemoryBench"),
    "bench mocap": ("hybrid.benches.mocap", "MocapBench"),
    "bench parser": ("hybrid.benches.parser", "ParserBench"),
    "bench reality": ("hybrid.benches.reality", "RealityBench"),
    "bench recognition": ("hybrid.benches.recognition", "RecognitionBench"),
    "bench proxy": ("hybrid.benches.proxy", "ProxyBench"),
    "bench tracking": ("hybrid.benches.tracking", "TrackBench"),
}
# The mllm files have a test of their own, tests/hybrid/models/test_mllm.py.
CONFIGS = [path for path in sorted((ROOT / "configs").glob("*/*.yaml")) if path.parent.name != "mllm"]


@cache
def schema(tool):
    module, name = SCHEMAS[tool]
    return getattr(importlib.import_module(module), name)


def blocks(page, language):
    """The fenced blocks of a page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def shell_commands(page):
    """The words of every command in a page's shell blocks; comments are left out."""
    lines = "".join(blocks(page, "bash")).replace("\\\n", " ").splitlines()
    return [words for words in (shlex.split(line, comments=True) for line in lines) if words]


TOOL_COMMANDS = [words[1:] for page in PAGES for words in shell_commands(page) if words[0] == "python"]


def own_files():
    """{name: text} of the YAML blocks that the pages ask a user to write; their first line names them."""
    texts = [text for page in PAGES for text in blocks(page, "yaml")]
    return {shlex.split(text.splitlines()[0][1:])[2]: text for text in texts}


@pytest.mark.parametrize("words", TOOL_COMMANDS, ids=" ".join)
def test_commands_name_tools_files_and_keys_that_exist(words, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    script, given = Path(words[0]), words[1:]
    assert script.parent == Path("tools") and script.is_file()
    tool = script.stem
    if f"{tool} {given[0]}" in SCHEMAS:  # a tool of several, by their names
        tool, given = f"{tool} {given[0]}", given[1:]
    if tool == "summarize":
        given = [f"data={given[0]}", *given[1:]]
    for place, word in enumerate(given):
        if word in own_files():
            (tmp_path / "own.yaml").write_text(own_files()[word], encoding="utf-8")
            given[place] = str(tmp_path / "own.yaml")
    # The file of a run, which a finished run leaves, holds every key
    given = [word for word in given if not word.startswith("runs/")]
    load_config(kind_of(given).schema if tool in ("train", "test") else schema(tool), given)


def test_an_unknown_key_in_a_command_would_be_seen():
    with pytest.raises(ConfigError, match="unknown key 'overlai'"):
        load_config(schema("extract"), ["videos=my/videos", "output=my/skeletons", "overlai=true"])


def test_every_tool_is_shown():
    shown = {Path(words[0]).stem for words in TOOL_COMMANDS}
    assert shown == {name.split()[0] for name in SCHEMAS}
    assert shown | {"demo"} == {path.stem for path in (ROOT / "tools").glob("*.py")}


def test_make_commands_exist():
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    named = set(
        re.findall(r"\bmake (\w+)\b(?= |`|$)", "\n".join(re.findall(r"`[^`\n]+`|^make .*", README, re.MULTILINE)))
    )
    assert {"demo", "test"} <= named <= set(targets)
    assert [words[:2] for words in shell_commands(PAGES[0])[:2]] == [["make", "demo"], ["make", "test"]]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    assert links
    for link in links:
        if re.match(r"https?:", link):
            continue
        name, _, heading = link.partition("#")
        target = page.parent / name if name else page
        assert target.is_file(), f"{page.name} links to {link}"
        if heading:
            heads = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert heading in [re.sub(r"[^\w -]", "", head).lower().replace(" ", "-") for head in heads], link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_paths_in_the_text_exist(page):
    text = page.read_text(encoding="utf-8")
    for path in re.findall(r"`((?:skeleton|fusion|hybrid|tools|configs|tests|docs)/[\w./]*)`", text):
        assert (ROOT / path).exists(), f"{page.name} names {path}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_keys_in_the_text_exist(page):
    sections = "mllm|encoder|fusion|data|augment|train|test|detector|estimator|tracker|smoothing|stored"
    named = re.findall(rf"`((?:{sections})\.[a-z_.]+)(?:=[^`]*)?`", page.read_text(encoding="utf-8"))
    legal = "".join(help_text(kind.schema) for kind in KINDS.values()) + help_text(schema("extract"))
    for key in named:
        if not key.endswith((".jsonl", ".log")):
            assert f"  {key} (" in legal, f"{page.name} names the key {key}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_examples_of_data_are_legal(page):
    lines = [json.loads(line) for text in blocks(page, "jsonl") for line in text.splitlines()]
    assert lines or page.name in ("extraction.md", "encoders.md")
    for line in lines:
        if "events" in line:
            assert all(event_from_json(event) for event in line["events"])
        else:
            assert from_json(line, folder=ROOT).kind != "hidden"


def test_the_error_that_the_readme_shows_is_the_real_one():
    shown = re.search(r"^    error: (unknown key .*)$", README, re.MULTILINE)[1]
    argument = re.search(r"argument '([^']*)'", shown)[1]
    with pytest.raises(ConfigError) as raised:
        load_config(schema("train"), [argument])
    assert str(raised.value) == shown


def test_hub_models_and_security_are_named():
    assert len(list((ROOT / "configs" / "mllm").glob("*.yaml"))) == 5  # the README lists them by name
    assert "custom_imports" in README and "weights_only" in README
    assert README.count("<!-- demo table -->") == README.count("<!-- end of demo table -->") == 1


def test_the_vocabulary_on_the_page_is_the_real_one():
    text = (ROOT / "docs" / "data.md").read_text(encoding="utf-8").partition("## Limb events")[2]
    rows = dict(re.findall(r"^\| ([a-z ]+) \| (.*) \|$", text, re.MULTILINE))
    words, groups = vocabulary(), {"arms": "arm", "legs": "leg", "head": "head", "torso": "torso"}
    assert rows["limbs"].split(", ") == list(words.limbs)
    assert rows["postures"].split(", ") == list(words.postures)
    assert rows["directions"].partition(":")[0].split(", ") == list(words.directions)
    for row, group in (groups | {"whole body": "whole body"}).items():
        told = [word.split(" ")[0] for word in rows[row].split(", ")]
        real = {name: movement for name, movement in words.movements.items() if group in movement.limbs}
        assert [word.removesuffix("\\*") for word in told] == list(real), row
        assert [word.endswith("*") for word in told] == [group in movement.directions for movement in real.values()]
    counted = re.search(r"is above 1 only for (.*?)\.", text)[1].replace(" and ", ", ").split(", ")
    assert counted == [name for name, movement in words.movements.items() if movement.counted]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_experiment_files_load_and_say_their_command(path, monkeypatch):
    monkeypatch.chdir(ROOT)
    load_config(kind_of([str(path)]).schema, [str(path)])
    first = path.read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith("# ")
    siblings = [other.read_text(encoding="utf-8") for other in path.parent.glob("*.yaml")]
    if any(re.search(rf"^base:.*\b{re.escape(path.name)}", text, re.MULTILINE) for text in siblings):
        return  # a base of others is not run itself
    words = shlex.split(first[2:])
    assert words[0] == "python" and path.relative_to(ROOT).as_posix() in words
    tool = Path(words[1]).stem
    load_config(kind_of(words[2:]).schema if tool in ("train", "test") else schema(tool), words[2:])


def test_the_picture_is_whole_and_says_what_it_shows():
    root = ElementTree.parse(ROOT / "docs" / "pipeline.svg").getroot()
    name = "{http://www.w3.org/2000/svg}"
    assert root.tag == f"{name}svg" and root.get("viewBox")
    assert root.find(f"{name}title").text and root.find(f"{name}desc").text
    text = " ".join("".join(part.itertext()) for part in root.iter(f"{name}text"))
    for word in ("video", "frames", "vision tower", "visual tokens", "MMPose", "skeleton", "joint tokens", "anchor"):
        assert word in text
    reached = set(re.findall(r"url\(#([\w-]+)\)", (ROOT / "docs" / "pipeline.svg").read_text(encoding="utf-8")))
    assert reached == {marker.get("id") for marker in root.iter(f"{name}marker")}
