"""Configs and weights of MMDet and MMPose models: found, fetched, hashed and checked against each other.

A config is a path, or the name of one that a package brings (`rtmpose-m_8xb256-420e_body8-256x192`).
A checkpoint is a path or a URL; a fetched file stays in torch's cache, where MMEngine looks as well.
"""

import difflib
import importlib.util
import io
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from skeleton.errors import ExtractionError
from skeleton.openmmlab import download, prepare, read_checkpoint

if TYPE_CHECKING:
    from mmengine.config import Config

_KNOWN_WARNINGS = (
    r"The metainfo config file .* does not exist",
    r"`torch.cuda.amp.autocast",
    r"torch.meshgrid: in an upcoming release",
)


def find_config(name: str) -> Path:
    """The config file at path `name`, or the one of that name in the installed mmpose and mmdet.

    Raises ExtractionError, with the nearest name, where there is none.
    """
    path = Path(name).expanduser()
    if path.is_file():
        return path
    known: dict[str, Path] = {}
    for package in ("mmpose", "mmdet"):
        spec = importlib.util.find_spec(package)
        for folder in spec.submodule_search_locations if spec else ():
            for file in sorted(Path(folder, ".mim").glob("*/**/*.py")):
                known.setdefault(file.stem, file)
    if path.name == name and path.stem in known and path.suffix in ("", ".py"):
        return known[path.stem]
    near = difflib.get_close_matches(path.stem, list(known), 1)
    hint = f"; did you mean {near[0]}?" if near else "; check the path"
    raise ExtractionError(f"expected a config file or a name from mmpose or mmdet, found no {name}{hint}")


def load_config(path: Path) -> "Config":
    """Reads an MMEngine config, which runs it and its `custom_imports` (beside it or on the path)."""
    prepare("mmengine", "mmcv")
    from mmengine.config import Config
    from mmengine.logging import MMLogger

    if not MMLogger.check_instance_created("openmmlab"):
        MMLogger.get_instance("openmmlab", logger_name="openmmlab", log_level="ERROR")
    for message in _KNOWN_WARNINGS:
        warnings.filterwarnings("ignore", message=message)

    # Appended, not put first: a file beside the config must not hide a module of Python itself.
    sys.path.append(str(path.resolve().parent))
    try:
        return Config.fromfile(path)
    except ImportError as error:
        reason = " ".join(str(error).split())
        raise ExtractionError(
            f"the custom_imports of {path} must import, found {reason}; put the modules beside the config"
        ) from error
    finally:
        sys.path.remove(str(path.resolve().parent))


def fetch_weights(wanted: Mapping[str, str]) -> dict[str, Path]:
    """Local files for {override key: path or URL}; URLs are fetched once.

    Raises ExtractionError that names every file to bring and the override that passes it.
    """
    found, lacking, reason = {}, {}, ""
    for key, place in wanted.items():
        if not place.startswith(("http://", "https://")):
            path = Path(place).expanduser()
            if not path.is_file():
                raise ExtractionError(f"expected a checkpoint file at {key}={place}, found none; check the path")
            found[key] = path
            continue
        try:
            found[key] = download(place)
        except (OSError, RuntimeError) as error:
            lacking[key] = place
            reason = str(getattr(error, "reason", error))
    if lacking:
        files = " and ".join(lacking.values())
        keys = " ".join(f"{key}=PATH/{place.rsplit('/', 1)[-1]}" for key, place in lacking.items())
        raise ExtractionError(
            f"expected to fetch the weights, found no way to ({reason}); bring {files}, then pass {keys}"
        )
    return found


@contextmanager
def quiet_loading() -> Iterator[None]:
    """Keeps back what MMEngine prints about weights; `require_weights` says it in one sentence."""
    with redirect_stdout(io.StringIO()):
        yield


def require_weights(model: nn.Module, checkpoint: Path, config: Path) -> None:
    """Raises ExtractionError unless every parameter of `model` stands in `checkpoint` with its shape.

    MMEngine only logs a mismatch, and a network with random weights would go on finding bodies.
    """
    content: Any = read_checkpoint(checkpoint)
    if isinstance(content, Mapping):
        content = content.get("state_dict", content)
    stored = {}
    if isinstance(content, Mapping):
        stored = {str(key).removeprefix("module."): getattr(value, "shape", None) for key, value in content.items()}
    wanted = {name: value.shape for name, value in model.named_parameters()}
    wrong = [name for name, shape in wanted.items() if stored.get(name) != shape]
    if wrong:
        name = wrong[0]
        found = f"shape {list(stored[name])}" if stored.get(name) is not None else "nothing"
        raise ExtractionError(
            f"checkpoint {checkpoint} must hold the {len(wanted)} weights of {config.name}, found "
            f"{len(wrong)} missing or of another shape ({name} {list(wanted[name])}: {found}); give the "
            "checkpoint of this model"
        )
