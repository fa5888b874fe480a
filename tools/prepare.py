"""Make a data set: python tools/prepare.py NAME key=value ...

  marionette   the built-in one:           output=DIR [clips=2500] [seed=0] [workers=2]
  folder       videos and a CSV file:      videos=DIR labels=FILE.csv output=DIR
  mocap        a test set of captures:     file=FILE.npz|FILE.bvh|DIR output=DIR
  events       what everybody does:        skeletons=DIR output=DIR
  proxy        training without labels:    skeletons=DIR output=DIR [videos=DIR]
  import       skeleton files of others:   input=PATH format=NAME output=DIR
  export       records as PySKL's file:    records=DIR output=FILE.pkl

`python tools/prepare.py NAME --help` lists the keys. A second run does only what is missing.
"""

import logging
import os
import sys
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

# Idle threads must not spin: on a busy machine that makes small networks several times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tqdm import tqdm

from hybrid.config.loading import load_config
from hybrid.errors import ConfigError, HybridError
from skeleton.errors import SkeletonError


def marionette(config: Any) -> int:
    """The synthetic set with exact truth."""
    from hybrid.datasets.marionette.dataset import headline, prepare, told

    print(headline(config))
    return ready(config.output, *told(counted(partial(prepare, config), unit="clip")))


def folder(config: Any) -> int:
    """Videos and a CSV file; 1 where lines were left out."""
    print(f"{config.videos} and {config.labels} -> {config.output}", flush=True)
    from hybrid.datasets.folder import prepare_folder, told

    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=r"The 'predict_dataloader' does|`isinstance\(treespec, LeafSpec\)` is")
    outcome = prepare_folder(config)
    for failure in outcome.failures:
        print(f"left out: line {failure['line']}, {failure['video']}: {failure['reason']}", file=sys.stderr)
    return ready(config.output, *told(outcome, config), status=int(bool(outcome.failures)))


def piecewise(module: str, make: str, unit: str, config: Any) -> int:
    """A set that is made piece by piece; 1 where some were left out."""
    made = resolve_name(module)
    info = counted(partial(getattr(made, make), config), desc=f"making {config.output}", unit=unit)
    return ready(config.output, *made.told(info, config), status=int(info["left_out"] > 0))


def import_(config: Any) -> int:
    """Skeleton files of other programs."""
    made = partial(resolve_name("hybrid.datasets.import_export").import_skeletons, config)
    return ready(config.output, f"{counted(made, unit='clip')} records written")


def export(config: Any) -> int:
    """A folder of records, for PySKL and mmaction2."""
    from hybrid.datasets.import_export import export_pyskl
    from hybrid.datasets.label_csv import read_classes

    numbers, labels = read_classes(config.labels) if config.labels else (None, [])
    classes = [f"classes: {', '.join(f'{i} {label}' for i, label in enumerate(labels))}"] if labels else []
    return ready(config.output, f"{export_pyskl(config.records, config.output, numbers)} records written", *classes)


def counted(make: Callable, **shown: str) -> Any:
    """What `make(progress)` returns, behind a progress bar."""

    def show(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)

    with tqdm(**shown) as bar:
        return make(show)


def ready(output: str, *lines: str, status: int = 0) -> int:
    """The last lines of every name."""
    print("\n".join([*lines, f"{output} is ready"]))
    return status


NAMES = {  # name -> its keys, what it runs
    "marionette": ("hybrid.config.datasets.PrepareConfig", marionette),
    "folder": ("hybrid.config.datasets.FolderConfig", folder),
    "mocap": (
        "hybrid.config.datasets.MocapConfig",
        partial(piecewise, "hybrid.datasets.mocap", "prepare_mocap", "capture"),
    ),
    "events": (
        "hybrid.datasets.narrations.EventsConfig",
        partial(piecewise, "hybrid.datasets.narrations", "tell_records", "record"),
    ),
    "proxy": (
        "hybrid.config.datasets.ProxyConfig",
        partial(piecewise, "hybrid.datasets.proxy", "prepare_proxy", "record"),
    ),
    "import": ("hybrid.datasets.import_export.ImportConfig", import_),
    "export": ("hybrid.config.datasets.ExportConfig", export),
}


def main(arguments: list[str]) -> int:
    """Runs what is named first."""
    found = arguments[0] if arguments else "nothing"
    if found in ("--help", "-h"):
        print(__doc__.strip())
        return 0
    if found not in NAMES:
        legal, usage = ", ".join(NAMES), __doc__.splitlines()[0]
        raise ConfigError(f"expected the name of a data set ({legal}) first, found {found}: {usage}")
    keys, run = NAMES[found]
    return run(load_config(resolve_name(keys), arguments[1:], prog=f"prepare.py {found}", description=__doc__))


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (HybridError, SkeletonError) as error:
        sys.exit(f"error: {error}")
