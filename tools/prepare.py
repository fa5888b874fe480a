"""Make the built-in data set: python tools/prepare.py marionette output=DIR [clips=2500] [seed=0] [workers=2]

`python tools/prepare.py marionette --help` lists every key. A finished set is not made again; an interrupted
run goes on where it stopped.
"""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tqdm import tqdm

from hybrid.config import load_config
from hybrid.config_prepare import PrepareConfig
from hybrid.data.marionette.dataset import prepare
from hybrid.errors import ConfigError, HybridError
from skeleton.errors import SkeletonError


def main(arguments: list[str]) -> None:
    if arguments[:1] not in (["marionette"], ["--help"], ["-h"]):
        found = arguments[0] if arguments else "nothing"
        raise ConfigError(
            f"expected the name of a data set (marionette) first, found {found}: "
            "python tools/prepare.py marionette output=DIR"
        )
    config = load_config(PrepareConfig, [word for word in arguments if word != "marionette"], description=__doc__)
    counts = ", ".join(f"{count} {split}" for split, count in config.counts.items())
    print(f"Marionette, seed {config.seed}: {counts} clips of {config.size} x {config.size} pixels -> {config.output}")
    started = time.perf_counter()
    with tqdm(total=sum(config.counts.values()), unit="clip") as bar:
        info = prepare(config, lambda done, _: bar.update(done - bar.n))
        bar.update(bar.total - bar.n)
    for split, figures in info["splits"].items():
        tasks = ", ".join(f"{task} {count}" for task, count in figures["tasks"].items())
        print(f"{split}: {figures['questions']} questions, {figures['binding']} binding ({tasks})")
    print(f"{config.output} is ready ({time.perf_counter() - started:.0f} s)")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (HybridError, SkeletonError) as error:
        sys.exit(f"error: {error}")
