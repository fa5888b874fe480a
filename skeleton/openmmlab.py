"""Makes mmcv(-lite), mmdet, mmpose and mmaction2 import and run together; the only file that mends them.

`prepare()` has to run before any OpenMMLab import and may run any number of times. The mends:

1. mmcv-lite has no `mmcv._ext`. A stand-in computes `nms` with torchvision, and every other operator raises
   when it is called (not when it is imported). A compiled mmcv is left alone.
2. mmaction2's wheel lacks `mmaction.models.localizers.drn`: a stand-in whose `DRN` raises when it is built.
3. mmaction2's multimodal part imports names that transformers has removed: it is switched off.
4. xtcocotools is built against NumPy 1: the name stands for pycocotools, with the same `COCO` and `mask`.
   Its `COCOeval` takes no sigmas, so mmpose's own CocoMetric is out of reach.
5. Checkpoints are read by `read_checkpoint`, never unpickled: mmengine's loaders call it as well. MMEngine's
   files hold their log as a HistoryBuffer, so that class and numpy arrays are allowed beside tensors.

Configs are code: an MMPose or MMDet config, and the modules it names in `custom_imports`, run when read.

`python -m skeleton.openmmlab` prints what is installed and what is missing; status 1 if something is.
"""

import importlib
import importlib.machinery
import importlib.util
import pickle
import platform
import re
import sys
import types
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch

from skeleton.errors import SkeletonError

PINS = {
    "mmengine": "mmengine==0.10.7",
    "mmcv": "mmcv-lite==2.1.0",
    "mmdet": "mmdet==3.3.0",
    "mmpose": "mmpose==1.3.2",
    "mmaction": "mmaction2==1.2.0",
}
_NEEDS = {
    "addict": "addict",
    "yapf": "yapf",
    "termcolor": "termcolor",
    "rich": "rich",
    "json_tricks": "json_tricks",
    "munkres": "munkres",
    "six": "six",
    "terminaltables": "terminaltables",
    "shapely": "shapely",
    "pycocotools": "pycocotools",
    "importlib_metadata": "importlib_metadata",
    "cv2": "opencv-python-headless",
    "scipy": "scipy",
    "av": "av",
}
_PROJECT = {**_NEEDS, **{name: pin.split("==")[0] for name, pin in PINS.items()}}
_BROKEN_FILE = (RuntimeError, EOFError, LookupError, ValueError, TypeError, AttributeError)


def prepare(*packages: str) -> None:
    """Applies the mends to whatever is installed and checks that `packages` (import names) are.

    Raises SkeletonError, with the install command, for a missing package.
    """
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise SkeletonError(
            f"{' and '.join(missing)} must be installed for this, found nothing by that name; run "
            f"`{install_command(missing)}` (python -m skeleton.openmmlab lists everything)"
        )
    _mend_operators()
    _mend_localizers()
    _mend_multimodal()
    _mend_coco()
    _mend_loaders()


def install_command(missing: list[str]) -> str:
    """The pip command that brings the packages of `missing` (import names)."""
    bare = [PINS[name] for name in missing if name in PINS]
    full = [_NEEDS.get(name, name) for name in missing if name not in PINS]
    commands = [f"pip install --no-deps {' '.join(bare)}"] if bare else []
    commands += [f"pip install {' '.join(full)}"] if full else []
    return " && ".join(commands)


def mmcv_is_full() -> bool:
    """Whether the installed mmcv has its compiled operators."""
    spec = importlib.util.find_spec("mmcv")
    if spec is None or spec.submodule_search_locations is None:
        return False
    folders = list(spec.submodule_search_locations)
    return importlib.machinery.PathFinder.find_spec("mmcv._ext", folders) is not None


def read_checkpoint(path: str | Path, map_location: Any = "cpu") -> Any:
    """The content of a PyTorch checkpoint, read without executing anything in it.

    Raises SkeletonError for a missing file, one that is no checkpoint, and one with a foreign object in it.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise SkeletonError(f"expected a checkpoint file at {path}, found none; check the path")
    try:
        with torch.serialization.safe_globals(_allowed()):
            return torch.load(path, map_location=map_location, weights_only=True)
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL ([\w.]+)", str(error))
        if found is None:
            raise SkeletonError(_broken(path, error)) from error
        raise SkeletonError(
            f"checkpoint {path} must hold only tensors and plain Python types, found the object {found[1]}, "
            "which was not loaded because it could run code; save the state_dict alone and use that file"
        ) from error
    except _BROKEN_FILE as error:
        raise SkeletonError(_broken(path, error)) from error


def _broken(path: Path, error: Exception) -> str:
    reason = " ".join(f"{type(error).__name__} {error}".split())[:90]
    return f"{path} must be a file written by torch.save, found unreadable content ({reason}); fetch it again"


def _allowed() -> list:
    """Tensors' companions in MMEngine's checkpoints: numpy arrays and the log buffers."""
    kinds = ("Float64DType", "Float32DType", "Int64DType", "Int32DType", "BoolDType")
    allowed: list = [np.ndarray, np.dtype, *(getattr(np.dtypes, kind) for kind in kinds)]
    rebuild = np.empty(0).__reduce__()[0]
    scalar = np.float64(0).__reduce__()[0]
    for module in ("numpy.core.multiarray", "numpy._core.multiarray"):
        allowed += [(rebuild, f"{module}._reconstruct"), (scalar, f"{module}.scalar")]
    if importlib.util.find_spec("mmengine") is not None:
        from mmengine.logging.history_buffer import HistoryBuffer

        def statistics_method(owner: type, name: str) -> Any:
            if owner is not HistoryBuffer or name not in ("min", "max", "mean", "current"):
                raise pickle.UnpicklingError(f"GLOBAL builtins.getattr was used for {owner}.{name}")
            return getattr(HistoryBuffer, name)

        # HistoryBuffer's pickle names its methods through getattr; only those four are answered.
        names = ("builtins.getattr", "__builtin__.getattr")
        allowed += [HistoryBuffer, *((statistics_method, name) for name in names)]
    return allowed


class _MissingOperators(types.ModuleType):
    """Stands for `mmcv._ext`: any operator can be imported, none but `nms` can be called."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def operator(*_: Any, **__: Any) -> None:
            raise SkeletonError(
                f"the operator {name} needs a compiled mmcv, found mmcv-lite; choose a model without it or "
                "replace mmcv-lite (`pip uninstall mmcv-lite && pip install --no-deps mmcv==2.1.0`, which "
                "compiles for about 12 minutes)"
            )

        return operator


def _nms(boxes: torch.Tensor, scores: torch.Tensor, iou_threshold: float, offset: int) -> torch.Tensor:
    """mmcv's nms, [N, 4] and [N] -> kept indices; `offset` 1 counts the last pixel: it widens the boxes."""
    from torchvision.ops import nms

    widening = boxes.new_tensor([0, 0, offset, offset])
    return nms(boxes + widening, scores, iou_threshold)


def _mend_operators() -> None:
    if "mmcv._ext" in sys.modules or importlib.util.find_spec("mmcv") is None or mmcv_is_full():
        return
    stub = _MissingOperators("mmcv._ext", "Stand-in for the compiled operators of mmcv.")
    stub.__spec__ = importlib.machinery.ModuleSpec("mmcv._ext", None)
    stub.nms = _nms
    sys.modules["mmcv._ext"] = stub


def _mend_localizers() -> None:
    name = "mmaction.models.localizers.drn"
    spec = importlib.util.find_spec("mmaction")
    if name in sys.modules or spec is None or not spec.submodule_search_locations:
        return
    if Path(spec.submodule_search_locations[0], "models", "localizers", "drn").is_dir():
        return

    class DRN(torch.nn.Module):
        def __init__(self, *_: Any, **__: Any) -> None:
            raise SkeletonError("DRN needs its source, found mmaction2's wheel without; install from source")

    for path in (name, f"{name}.drn"):
        module = types.ModuleType(path, "Stand-in for a package that mmaction2's wheel lacks.")
        module.__path__ = []
        module.DRN = DRN
        sys.modules[path] = module


def _mend_multimodal() -> None:
    if importlib.util.find_spec("mmaction") is not None and importlib.util.find_spec("mmcv") is not None:
        importlib.import_module("mmaction.utils.dependency").WITH_MULTIMODAL = False


def _mend_coco() -> None:
    if "xtcocotools" in sys.modules or importlib.util.find_spec("pycocotools") is None:
        return
    package = types.ModuleType("xtcocotools", "pycocotools under the name that mmpose imports.")
    package.__path__ = []
    sys.modules["xtcocotools"] = package
    for part in ("coco", "cocoeval", "mask"):
        module = importlib.import_module(f"pycocotools.{part}")
        sys.modules[f"xtcocotools.{part}"] = module
        setattr(package, part, module)


def _mend_loaders() -> None:
    if importlib.util.find_spec("mmengine") is None:
        return
    from mmengine.runner import checkpoint

    def load_from_local(filename: str, map_location: Any = "cpu") -> Any:
        return read_checkpoint(filename, map_location)

    def load_from_http(filename: str, map_location: Any = "cpu", *_: Any, **__: Any) -> Any:
        return read_checkpoint(download(filename), map_location)

    def load_from_elsewhere(filename: str, map_location: Any = None) -> Any:
        raise SkeletonError(f"expected a local or http checkpoint, found {filename}; give the path of a file")

    register = checkpoint.CheckpointLoader.register_scheme
    register("", load_from_local, force=True)
    register(["http://", "https://"], load_from_http, force=True)
    checkpoint.load_from_http = load_from_http
    others = [prefix for prefix in checkpoint.CheckpointLoader._schemes if prefix not in ("", "http://", "https://")]
    register([prefix for prefix in others if "torchvision" not in prefix], load_from_elsewhere, force=True)


def download(url: str) -> Path:
    """The file of `url` in torch's cache, fetched once; OSError without network, RuntimeError if cut."""
    target = Path(torch.hub.get_dir(), "checkpoints", url.rsplit("/", 1)[-1])
    if not target.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        digest = re.search(r"-([0-9a-f]{8})(_\d{8})?\.pth$", url)
        torch.hub.download_url_to_file(url, str(target), hash_prefix=digest[1] if digest else None)
    return target


def report() -> tuple[str, list[str]]:
    """The doctor's text, and what is missing or broken (empty when extraction can run)."""
    lines, faults = [f"{'python':24}{platform.python_version()}"], []
    for name in ("torch", "torchvision", "numpy", *PINS, *_NEEDS):
        version = _version(name)
        lines.append(f"{_PROJECT.get(name, name):24}{version or 'MISSING'}")
        if version is None:
            faults.append(name)
    kind = "full (compiled operators)" if mmcv_is_full() else "lite (nms by torchvision, no other operator)"
    lines.append(f"{'mmcv kind':24}{kind if _version('mmcv') else 'MISSING'}")
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    lines.append(f"{'device':24}{gpu}, {torch.get_num_threads()} threads")
    if faults:
        lines.append(f"missing: {', '.join(faults)}; get it with: {install_command(faults)}")
        return "\n".join(lines), faults
    prepare()
    for name in ("torchvision.ops", "mmdet.apis", "mmpose.apis", "mmaction.models"):
        try:
            importlib.import_module(name)
        except (ImportError, RuntimeError, AttributeError, AssertionError) as error:
            faults.append(name)
            lines.append(f"{name} does not import: {' '.join(str(error).split())[:200]}")
    if "torchvision.ops" in faults:
        lines.append("torch and torchvision must be a matched pair: reinstall both from one registry")
    lines.append(f"broken: {', '.join(faults)}" if faults else "everything needed is here")
    return "\n".join(lines), faults


def _version(name: str) -> str | None:
    """The version of import name `name`; None where it is not installed."""
    if importlib.util.find_spec(name) is None:
        return None
    projects = (_PROJECT.get(name, name), name, f"{name}-python")
    found = [entry.version for project in projects for entry in metadata.distributions(name=project)]
    return found[0] if found else "version unknown"


def main() -> int:
    """Prints the report; 1 where something needed is missing."""
    text, faults = report()
    print(text)
    return 1 if faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
