"""Typed configuration: dataclass defaults, YAML files and `key=value`, merged left to right.

Decisions that may surprise:
- A schema is a dataclass whose fields are made with `field(comment, default)`: both live in one place, and
  `--help` prints them.
- A YAML file may hold `base: other.yaml` (relative to itself, or a list of files): the base is merged first.
- On the command line, the value of a text field is taken as typed (so a question may hold a colon); every
  other value is YAML, read by OmegaConf's rules (1e-4 is a number).
- Numbers are never bent: 2.5 for an int and 7 for a text are errors, not 2 and "7"; only an int for a float
  passes.
- One value for a list is a list of one: `data.train=clips.jsonl`; a text for a section with a name is its name:
  `encoder=ctrgcn` is `encoder.name=ctrgcn`.
- The caller gets plain dataclass instances; OmegaConf objects do not leave this module.
"""

from __future__ import annotations

import copy
import dataclasses
import difflib
import hashlib
import re
import sys
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from omegaconf import MISSING, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from hybrid.errors import ConfigError

Schema = TypeVar("Schema")
# Keys of older runs that are no more: their files still load, and one sentence says so.
_RETIRED = {"fusion.granularity": "a joint token always stands for a limb"}
_ASSIGNMENT = re.compile(r"[A-Za-z_][\w.]*=")


def field(comment: str, default: Any = MISSING, *, choices: list[Any] | None = None) -> Any:
    """A dataclass field with its one-line comment; no default means that the user must give a value.

    A dataclass type as default makes a section; lists and dicts are copied for each instance. `choices` lists
    the legal values.
    """
    metadata = {"comment": comment, "choices": choices}
    if isinstance(default, type):
        return dataclasses.field(default_factory=default, metadata=metadata)
    if isinstance(default, list | dict):
        return dataclasses.field(default_factory=lambda: copy.deepcopy(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def load_config(
    schema: type[Schema], arguments: list[str], *, prog: str | None = None, description: str = ""
) -> Schema:
    """Merge the schema's defaults with `arguments` (YAML paths and `key=value`), left to right.

    `--help` prints every key and `--print-config` the resolved YAML; both then exit with status 0. The
    `check()` methods of the schema's classes run on the result, innermost first.

    Raises: ConfigError, naming key, value and where it came from.
    """
    if "--help" in arguments or "-h" in arguments:
        print(help_text(schema, prog=prog, description=description))
        raise SystemExit(0)
    fields = dict(_walk(schema))
    config = OmegaConf.structured(schema)
    for argument in arguments:
        if argument == "--print-config":
            continue
        for key, value, source in _layer(argument, fields):
            _assign(config, fields, key, value, source)
    result = _to_object(config, fields)
    _check(result)
    if "--print-config" in arguments:
        print(to_yaml(result), end="")
        raise SystemExit(0)
    return result


def to_yaml(config: Any) -> str:
    """The YAML text of a config instance; loading it again gives an equal instance."""
    return OmegaConf.to_yaml(OmegaConf.structured(config))


def config_hash(config: Any) -> str:
    """Twelve hexadecimal digits that name the resolved configuration."""
    return hashlib.sha256(to_yaml(config).encode()).hexdigest()[:12]


def help_text(schema: type, *, prog: str | None = None, description: str = "") -> str:
    """Every key of the schema with its type, default and comment, one line each."""
    name = prog or Path(sys.argv[0]).name
    lines = [f"usage: {name} [FILE.yaml ...] [key=value ...] [--print-config] [--help]"]
    lines += ["", description] if description else []
    lines += ["", "keys:"]
    rows = []
    for key, entry in _walk(schema):
        if _section(entry.type) is not None:
            continue
        choices = entry.metadata["choices"]
        kind = "|".join(map(str, choices)) if choices else _type_name(entry.type)
        kind = f"list of {kind}" if choices and _is_list(entry.type) else kind
        default = _default(entry)
        shown = "required" if default == MISSING else "null" if default is None else str(default)
        rows.append((f"{key} ({kind}, {shown})", entry.metadata["comment"]))
    width = min(max((len(left) for left, _ in rows), default=0), 60)
    return "\n".join(lines + [f"  {left.ljust(width)}  {comment}" for left, comment in rows])


def _walk(schema: type, prefix: str = "") -> Iterator[tuple[str, dataclasses.Field]]:
    """All (dotted key, field) pairs of a schema, sections included; field.type is the resolved type."""
    hints = typing.get_type_hints(schema)
    for entry in dataclasses.fields(schema):
        entry = copy.copy(entry)
        entry.type = hints[entry.name]
        if "comment" not in entry.metadata:
            raise TypeError(f"make {schema.__name__}.{entry.name} with hybrid.config.loading.field(comment, default)")
        yield prefix + entry.name, entry
        section = _section(entry.type)
        if section is not None:
            yield from _walk(section, f"{prefix}{entry.name}.")


def _section(kind: Any) -> type | None:
    """The dataclass behind a section's type, or None for a value."""
    return next((part for part in _parts(kind) if dataclasses.is_dataclass(part)), None)


def _parts(kind: Any) -> tuple[Any, ...]:
    """The members of a union, or the type alone."""
    return typing.get_args(kind) if typing.get_origin(kind) in (typing.Union, types.UnionType) else (kind,)


def _type_name(kind: Any) -> str:
    names = ["null" if part is type(None) else getattr(part, "__name__", str(part)) for part in _parts(kind)]
    for i, part in enumerate(_parts(kind)):
        if typing.get_args(part):
            names[i] = f"{names[i]}[{', '.join(_type_name(inner) for inner in typing.get_args(part))}]"
    return " or ".join(names)


def _default(entry: dataclasses.Field) -> Any:
    if entry.default_factory is not dataclasses.MISSING:
        return entry.default_factory()
    return entry.default


def _layer(argument: str, fields: dict[str, dataclasses.Field]) -> Iterator[tuple[str, Any, str]]:
    """The (dotted key, value, source) triples of one argument."""
    if _ASSIGNMENT.match(argument):
        key, text = argument.split("=", 1)
        yield from _flatten(key, _parse(text, fields.get(key), argument), f"argument {argument!r}", fields)
    elif argument.endswith((".yaml", ".yml")):
        yield from _file(Path(argument), fields)
    else:
        raise ConfigError(f"expected FILE.yaml or key=value, found the argument {argument!r}; see --help")


def _parse(text: str, entry: dataclasses.Field | None, argument: str) -> Any:
    if entry is not None and str in _parts(entry.type) and not text.startswith(('"', "'")):
        return None if text in ("null", "~", "") and type(None) in _parts(entry.type) else text
    try:
        return OmegaConf.to_container(OmegaConf.from_dotlist([f"value={text}"]))["value"]
    except (yaml.YAMLError, OmegaConfBaseException) as error:
        found = _first_line(error)
        raise ConfigError(f"expected a YAML value after '=' in {argument!r}, found {found}") from error


def peek(arguments: list[str], key: str) -> Any:
    """The value that `arguments` give a top-level key, before it is known which keys are legal; None without one."""
    found = None
    for argument in arguments:
        if argument.startswith(f"{key}="):
            found = argument.split("=", 1)[1]
        elif argument.endswith((".yaml", ".yml")) and not _ASSIGNMENT.match(argument):
            for _, values in _layers(Path(argument), seen=()):
                found = values.get(key, found)
    return found


def _file(path: Path, fields: dict[str, dataclasses.Field]) -> Iterator[tuple[str, Any, str]]:
    for source, values in _layers(path, seen=()):
        for key, value in values.items():
            yield from _flatten(str(key), value, str(source), fields)


def _layers(path: Path, seen: tuple[Path, ...]) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The values of a YAML file's bases, then its own."""
    if not path.is_file():
        via = f" (base of {seen[-1]})" if seen else ""
        raise ConfigError(f"expected a configuration file at {path}{via}, found none; check the path")
    if path.resolve() in [other.resolve() for other in seen]:
        raise ConfigError(f"expected a chain of base files that ends, found {path} again below {seen[-1]}")
    try:
        values = OmegaConf.to_container(OmegaConf.create(path.read_text(encoding="utf-8") or "{}"))
    except (yaml.YAMLError, OmegaConfBaseException, UnicodeDecodeError) as error:
        raise ConfigError(f"expected YAML in {path}, found {_first_line(error)}") from error
    if not isinstance(values, Mapping):
        raise ConfigError(f"expected 'key: value' lines in {path}, found a {type(values).__name__}")
    values = dict(values)
    bases = values.pop("base", None) or []
    for base in [bases] if isinstance(bases, str) else bases:
        yield from _layers(path.parent / str(base), (*seen, path))
    yield path, values


def _flatten(key: str, value: Any, source: str, fields: dict[str, dataclasses.Field]) -> Iterator[tuple[str, Any, str]]:
    """Split a section's mapping into its keys; a value of any other key stays whole."""
    if key in _RETIRED and key.partition(".")[0] in fields:
        print(f"the key {key} from {source} is no more and is passed over: {_RETIRED[key]}", file=sys.stderr)
        return
    if key not in fields:
        raise ConfigError(f"unknown key {key!r} from {source}; {_nearest(key, list(fields))}")
    if _section(fields[key].type) is not None and isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _flatten(f"{key}.{name}", inner, source, fields)
    else:
        yield key, value, source


def _nearest(key: str, keys: list[str]) -> str:
    last = key.rsplit(".", 1)[-1]
    names = {name.rsplit(".", 1)[-1]: name for name in reversed(keys)}
    found = difflib.get_close_matches(key, keys, 1) or [
        names[name] for name in difflib.get_close_matches(last, list(names), 1)
    ]
    return f"did you mean {found[0]!r}?" if found else "--help lists the legal keys"


def _assign(config: Any, fields: dict[str, dataclasses.Field], key: str, value: Any, source: str) -> None:
    entry = fields[key]
    found = f"found {value!r} ({type(value).__name__}) from {source}"
    wrong = f"expected {_type_name(entry.type)} for {key}, {found}"
    interpolated = isinstance(value, str) and "${" in value
    if _is_list(entry.type) and isinstance(value, str | int | float):
        value = [value]
    if _section(entry.type) is not None and isinstance(value, str) and f"{key}.name" in fields:
        _assign(config, fields, f"{key}.name", value, source)
        return
    if _section(entry.type) is not None and value is not None:
        raise ConfigError(f"expected a section for {key}, {found}; set its keys one by one")
    if not interpolated and not _fits(value, entry.type):
        hint = "; put it in quotes" if str in _parts(entry.type) and isinstance(value, int | float) else ""
        raise ConfigError(wrong + hint)
    choices = entry.metadata["choices"]
    if choices and not interpolated:
        for item in value if isinstance(value, list) else [value]:
            if item not in choices:
                near = difflib.get_close_matches(str(item), [str(choice) for choice in choices], 1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                legal = ", ".join(map(str, choices))
                raise ConfigError(f"expected one of {legal} for {key}, found {item!r} from {source}{hint}")
    try:
        OmegaConf.update(config, key, value, merge=True)
    except OmegaConfBaseException as error:
        raise ConfigError(wrong) from error


def _fits(value: Any, kind: Any) -> bool:
    """Whether a parsed YAML value has the declared type, without bending numbers."""
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return any(_fits(value, part) for part in typing.get_args(kind))
    if kind is Any:
        return True
    if _is_list(kind):
        return isinstance(value, list) and all(_fits(item, typing.get_args(kind)[0]) for item in value)
    if typing.get_origin(kind) is dict:
        key_kind, value_kind = typing.get_args(kind)
        return isinstance(value, Mapping) and all(
            _fits(name, key_kind) and _fits(item, value_kind) for name, item in value.items()
        )
    if isinstance(value, bool):
        return kind is bool
    if kind is float:
        return isinstance(value, int | float)
    return kind is not None and isinstance(value, kind)


def _is_list(kind: Any) -> bool:
    return typing.get_origin(kind) is list


def _to_object(config: Any, fields: dict[str, dataclasses.Field]) -> Any:
    for key, entry in fields.items():
        if _section(entry.type) is None and OmegaConf.is_missing(_parent(config, key), entry.name):
            comment = entry.metadata["comment"]
            raise ConfigError(f"expected a value for {key} ({comment}), found none; give {key}=...")
    try:
        return OmegaConf.to_object(config)
    except (OmegaConfBaseException, MissingMandatoryValue) as error:
        raise ConfigError(f"expected references that resolve, found {_first_line(error)}") from error


def _parent(config: Any, key: str) -> Any:
    parent = key.rpartition(".")[0]
    return OmegaConf.select(config, parent) if parent else config


def _check(config: Any) -> None:
    for entry in dataclasses.fields(config):
        if dataclasses.is_dataclass(getattr(config, entry.name)):
            _check(getattr(config, entry.name))
    if hasattr(config, "check"):
        config.check()


def _first_line(error: Exception) -> str:
    """What a library said, in one line, with the place when it names one."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        return f"{error.problem} in line {error.problem_mark.line + 1}"
    return str(error).split("\n")[0]
