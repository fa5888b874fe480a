"""Train a run: python tools/train.py configs/experiment/NAME.yaml [more.yaml ...] [key=value ...]

Leaves config.yaml, metrics.csv, tensorboard/ and checkpoints/{last,best}.ckpt in output/name. `train.resume=auto` goes on
where an interrupted run stopped. `--help` lists every key, `--print-config` prints the resolved configuration.
"""

import sys

from fusion.errors import FusionError
from hybrid.config import load_config
from hybrid.errors import HybridError, sentence
from hybrid.schema import TrainConfig
from skeleton.errors import SkeletonError


def main(arguments: list[str]) -> None:
    config = load_config(TrainConfig, arguments, prog="tools/train.py", description=__doc__)
    from hybrid.training import train  # after the configuration is found right: it takes seconds to import

    folder = train(config)
    print(f"trained; test it with: python tools/test.py {folder.path / 'config.yaml'}")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (HybridError, FusionError, SkeletonError) as error:
        sys.exit(f"error: {sentence(error)}")
