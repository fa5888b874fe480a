"""Train a run: python tools/train.py configs/experiment/NAME.yaml [more.yaml ...] [key=value ...]

What is trained is the key `kind`: instruction (a video language model that is given joint tokens) or recognition (action
recognition from skeletons alone; `kind=recognition --help` lists its keys).
Leaves config.yaml, metrics.csv, tensorboard/ and checkpoints/{last,best}.ckpt in output/name. `train.resume=auto` goes on
where an interrupted run stopped. `--help` lists every key, `--print-config` prints the resolved configuration.
"""

import sys

from fusion.errors import FusionError
from hybrid.config.loading import load_config
from hybrid.errors import HybridError, sentence
from hybrid.runs.kinds import kind_of
from skeleton.errors import SkeletonError


def main(arguments: list[str]) -> None:
    kind = kind_of(arguments)
    config = load_config(kind.schema, arguments, prog="tools/train.py", description=__doc__)
    folder = kind.training().train(config)
    print(f"trained; test it with: python tools/test.py {folder.path / 'config.yaml'}")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (HybridError, FusionError, SkeletonError) as error:
        sys.exit(f"error: {sentence(error)}")
