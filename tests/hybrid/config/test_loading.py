"""The configuration machinery on a small schema."""

import dataclasses
from dataclasses import dataclass

import pytest

from hybrid.config.loading import config_hash, field, help_text, load_config, to_yaml
from hybrid.errors import ConfigError


@dataclass
class Optimizer:
    lr: float = field("learning rate", 1e-3)
    steps: int = field("steps", 10)
    warmup: int = field("warm-up steps", 0)
    name: str | None = field("name", None)
    betas: list[float] = field("betas", [0.9, 0.99])
    weights: dict[str, float] = field("loss weights", {"text": 1.0})

    def check(self) -> None:
        if self.warmup > self.steps:
            raise ConfigError(f"expected warmup <= steps, found {self.warmup} and {self.steps}")


@dataclass
class Config:
    question: str = field("what is asked")
    train: Optimizer = field("training", Optimizer)
    mode: str = field("mode", "none", choices=["none", "tokens"])
    streams: list[str] = field("streams", ["joint"], choices=["joint", "bone"])
    fast: bool = field("fast", False)


def load(*arguments):
    return load_config(Config, ["question=why", *map(str, arguments)])


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_layers_merge_left_to_right(tmp_path):
    one = write(tmp_path / "one.yaml", "train:\n  lr: 0.5\n  steps: 20\nmode: tokens\n")
    two = write(tmp_path / "two.yaml", "train.steps: 30\n")
    config = load(one, "train.lr=1e-4", two, "train.steps=40", "fast=true")
    assert config.train == Optimizer(lr=1e-4, steps=40)
    assert (config.mode, config.fast) == ("tokens", True)
    assert load("train.steps=40", two).train.steps == 30
    marked = write(tmp_path / "marked.yaml", "\ufefftrain.steps: 50\n")  # a byte order mark
    assert load(marked).train.steps == 50


def test_result_is_plain_dataclasses():
    config = load()
    assert type(config) is Config
    assert type(config.train) is Optimizer
    assert type(config.train.betas) is list
    assert type(config.train.weights) is dict
    config.train.betas.append(1.0)
    assert load().train.betas == [0.9, 0.99]


def test_base_is_merged_first_and_relative(tmp_path):
    (tmp_path / "deep").mkdir()
    write(tmp_path / "base.yaml", "train:\n  lr: 0.5\n  steps: 20\n")
    write(tmp_path / "other.yaml", "mode: tokens\ntrain:\n  lr: 0.25\n")
    file = write(tmp_path / "deep" / "new.yaml", "train:\n  steps: 7\nbase: [../base.yaml, ../other.yaml]\n")
    config = load(file)
    assert (config.train.lr, config.train.steps, config.mode) == (0.25, 7, "tokens")


def test_base_errors(tmp_path):
    lost = write(tmp_path / "lost.yaml", "base: nowhere.yaml\n")
    with pytest.raises(ConfigError, match=r"configuration file at .*nowhere\.yaml \(base of .*lost\.yaml\)"):
        load(lost)
    loop = write(tmp_path / "loop.yaml", "base: loop.yaml\n")
    with pytest.raises(ConfigError, match=r"chain of base files that ends, found .*loop\.yaml again"):
        load(loop)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("which arm: left=up?", "which arm: left=up?"),
        ("007", "007"),
        ("yes", "yes"),
        ("'quoted: text'", "quoted: text"),
        ("[open", "[open"),
    ],
)
def test_text_is_taken_as_typed(text, value):
    assert load_config(Config, [f"question={text}"]).question == value


@pytest.mark.parametrize(
    ("argument", "get", "value"),
    [
        ("train.lr=1", lambda c: c.train.lr, 1.0),
        ("train.name=null", lambda c: c.train.name, None),
        ("train.name=x", lambda c: c.train.name, "x"),
        ("train.betas=[1, 2.5]", lambda c: c.train.betas, [1.0, 2.5]),
        ("train.weights={event: 0.5}", lambda c: c.train.weights, {"text": 1.0, "event": 0.5}),
        ("train={steps: 3}", lambda c: c.train.steps, 3),
        ("streams=bone", lambda c: c.streams, ["bone"]),
    ],
)
def test_values_are_yaml(argument, get, value):
    assert get(load(argument)) == value
    assert type(get(load(argument))) is type(value)


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("train.step=3", r"unknown key 'train\.step' from argument .*; did you mean 'train\.steps'\?"),
        ("warmpu=3", r"unknown key 'warmpu'.*did you mean 'train\.warmup'\?"),
        ("zzz=3", r"unknown key 'zzz'.*--help lists the legal keys"),
        ("train.lr.x=3", r"unknown key 'train\.lr\.x'"),
        ("train.steps=2.5", r"expected int for train\.steps, found 2\.5 \(float\) from argument 'train\.st"),
        ("train.steps=many", r"expected int for train\.steps, found 'many'"),
        ("train.lr=true", r"expected float for train\.lr, found True \(bool\)"),
        ("train.steps=true", r"expected int for train\.steps, found True \(bool\)"),
        ("train.betas=[true]", r"expected list\[float\] for train\.betas, found \[True\]"),
        ("train.steps=null", r"expected int for train\.steps, found None"),
        ("train.betas=[a]", r"expected list\[float\] for train\.betas, found \['a'\]"),
        ("train.weights={a: b}", r"expected dict\[str, float\] for train\.weights"),
        ("fast=1", r"expected bool for fast, found 1 \(int\)"),
        ("train=3", r"expected a section for train, found 3"),
        ("mode=token", r"expected one of none, tokens for mode, found 'token'.*did you mean 'tokens'\?"),
        ("streams=[joint, bones]", r"expected one of joint, bone for streams, found 'bones'"),
        ("train.steps=[1", r"expected a YAML value after '=' in 'train\.steps=\[1', found"),
        ("--fast", r"expected FILE\.yaml or key=value, found the argument '--fast'"),
        ("mode=${nowhere}", r"expected references that resolve, found .*nowhere"),
        ("nowhere.yaml", r"expected a configuration file at nowhere\.yaml, found none"),
        ("train.warmup=11", r"expected warmup <= steps, found 11 and 10"),
    ],
)
def test_wrong_arguments(argument, message):
    with pytest.raises(ConfigError, match=message):
        load(argument)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train:\n  step: 3\n", r"unknown key 'train\.step' from .*bad\.yaml; did you mean 'train\.steps'"),
        ("train:\n  name: 7\n", r"expected str or null for train\.name, found 7 \(int\).*put it in quotes"),
        ("- 1\n", r"expected 'key: value' lines in .*bad\.yaml, found a list"),
        ("train: [1\n", r"expected YAML in .*bad\.yaml, found"),
        ("mode: none\nmode: tokens\n", r"expected YAML in .*bad\.yaml, found .*duplicate key mode in line 2"),
    ],
)
def test_wrong_files(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        load(write(tmp_path / "bad.yaml", text))


def test_empty_file_changes_nothing(tmp_path):
    assert load(write(tmp_path / "empty.yaml", "# nothing\n")) == load()


def test_missing_value_is_named():
    with pytest.raises(ConfigError, match=r"value for question \(what is asked\), found none; give"):
        load_config(Config, [])


def test_help_prints_every_key(capsys):
    with pytest.raises(SystemExit) as exit_:
        load_config(Config, ["--help"], prog="train.py", description="Trains.")
    printed = capsys.readouterr().out
    assert exit_.value.code == 0
    assert "usage: train.py" in printed
    assert "Trains." in printed
    for line in (
        "question (str, required)",
        "train.lr (float, 0.001)",
        "train.name (str or null, null)",
        "mode (none|tokens, none)",
        "streams (list of joint|bone, ['joint'])",
    ):
        assert line in printed
    for entry in dataclasses.fields(Optimizer):
        assert entry.metadata["comment"] in help_text(Config)


def test_print_config_round_trips(tmp_path, capsys):
    with pytest.raises(SystemExit) as exit_:
        load("train.lr=3e-5", "--print-config", "train.name='null'")
    assert exit_.value.code == 0
    printed = capsys.readouterr().out
    again = load_config(Config, [str(write(tmp_path / "printed.yaml", printed))])
    assert again == load("train.lr=3e-5", "train.name='null'")
    assert to_yaml(again) == printed


def test_hash_follows_the_values():
    assert config_hash(load()) == config_hash(load("train.steps=10"))
    assert config_hash(load()) != config_hash(load("train.steps=11"))


def test_plain_dataclass_fields_are_refused():
    @dataclass
    class Bare:
        x: int = 3

    with pytest.raises(TypeError, match=r"make Bare\.x with hybrid\.config\.loading\.field"):
        load_config(Bare, [])
