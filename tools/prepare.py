"""Make a data set: python tools/prepare.py NAME key=value ...

  marionette   the built-in one:         output=DIR [clips=2500] [seed=0] [workers=2]
  folder       videos and a CSV file:    videos=DIR labels=FILE.csv output=DIR
  mocap        a test set of captures:   file=FILE.npz|FILE.bvh|DIR output=DIR
  import       skeleton files of others: input=PATH format=NAME output=DIR
  export       records as PySKL's file:  records=DIR output=FILE.pkl

`python tools/prepare.py NAME --help` lists the keys. A second run does only what is missing.
"""

import logging
import os
import sys
import warnings
from functools import partial
from pathlib import Path

# Idle threads must not spin: on a busy machine that makes small networks several times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tqdm import tqdm

from hybrid.config import load_config
from hybrid.errors import ConfigError, HybridError
from skeleton.errors import SkeletonError


def marionette(arguments: list[str]) -> int:
    """The synthetic set with exact truth."""
    from hybrid.config_prepare import PrepareConfig
    from hybrid.data.marionette.dataset import headline, prepare, told

    config = load_config(PrepareConfig, arguments, prog="prepare.py marionette", description=__doc__)
    print(headline(config))
    with tqdm(unit="clip") as bar:
        info = prepare(config, partial(_show, bar))
    return ready(config.output, *told(info))


def folder(arguments: list[str]) -> int:
    """Videos and a CSV file; 1 where lines were left out."""
    from hybrid.config_folder import FolderConfig

    config = load_config(FolderConfig, arguments, prog="prepare.py folder", description=__doc__)
    print(f"{config.videos} and {config.labels} -> {config.output}", flush=True)
    from hybrid.data.folder import prepare_folder, told

    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=r"The 'predict_dataloader' does|`isinstance\(treespec, LeafSpec\)` is")
    outcome = prepare_folder(config)
    for failure in outcome.failures:
        print(f"left out: line {failure['line']}, {failure['video']}: {failure['reason']}", file=sys.stderr)
    return ready(config.output, *told(outcome, config), status=int(bool(outcome.failures)))


def mocap(arguments: list[str]) -> int:
    """Motion capture, seen by drawn cameras; 1 where captures were left out."""
    from hybrid.data.mocap import MocapConfig, prepare_mocap, told

    config = load_config(MocapConfig, arguments, prog="prepare.py mocap", description=__doc__)
    with tqdm(desc=f"{config.file} -> {config.output}", unit="capture") as bar:
        info = prepare_mocap(config, partial(_show, bar))
    return ready(config.output, *told(info, config), status=int(info["left_out"] > 0))


def import_(arguments: list[str]) -> int:
    """Skeleton files of other programs."""
    from hybrid.data.importing import ImportConfig, import_skeletons

    config = load_config(ImportConfig, arguments, prog="prepare.py import", description=__doc__)
    with tqdm(unit="clip") as bar:
        written = import_skeletons(config, partial(_show, bar))
    return ready(config.output, f"{written} records written")


def export(arguments: list[str]) -> int:
    """A folder of records, for PySKL and mmaction2."""
    from hybrid.config_folder import ExportConfig
    from hybrid.data.importing import export_pyskl
    from hybrid.data.labels import read_classes

    config = load_config(ExportConfig, arguments, prog="prepare.py export", description=__doc__)
    numbers, labels = read_classes(config.labels) if config.labels else (None, [])
    classes = [f"classes: {', '.join(f'{i} {label}' for i, label in enumerate(labels))}"] if labels else []
    return ready(config.output, f"{export_pyskl(config.records, config.output, numbers)} records written", *classes)


def ready(output: str, *lines: str, status: int = 0) -> int:
    """The last lines of every name."""
    print("\n".join([*lines, f"{output} is ready"]))
    return status


def _show(bar: tqdm, done: int, total: int) -> None:
    bar.total = total
    bar.update(done - bar.n)


NAMES = {"marionette": marionette, "folder": folder, "mocap": mocap, "import": import_, "export": export}


def main(arguments: list[str]) -> int:
    """Runs what is named first."""
    found = arguments[0] if arguments else "nothing"
    if found in ("--help", "-h"):
        print(__doc__.strip())
        return 0
    if found not in NAMES:
        legal = ", ".join(NAMES)
        raise ConfigError(f"expected the name of a data set ({legal}) first, found {found}: {__doc__.splitlines()[0]}")
    return NAMES[found](arguments[1:])


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (HybridError, SkeletonError) as error:
        sys.exit(f"error: {error}")
