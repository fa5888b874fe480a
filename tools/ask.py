"""Ask a trained run about a video: python tools/ask.py RUN.yaml video=FILE question="..." [options="a | b"]

Extracts the skeleton first (detector.*, estimator.* as in tools/extract.py), unless skeleton=FILE.npz is given. With
options the likeliest one is chosen, without them the model writes. Several questions and options are parted by |.
`--help` lists every key.
"""

import logging
import sys

from fusion.errors import FusionError
from hybrid.config.loading import load_config
from hybrid.errors import HybridError, sentence
from hybrid.runs.ask import AskConfig, ask, parts
from skeleton.errors import SkeletonError


def main(arguments: list[str]) -> None:
    config = load_config(AskConfig, arguments, prog="tools/ask.py", description=__doc__)
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    for reply in ask(config):
        print(f"Q: {reply.question}\nA: {reply.text}")
        if reply.probabilities:
            shares = sorted(zip(parts(config.options), reply.probabilities, strict=True), key=lambda pair: -pair[1])
            print("   " + ", ".join(f"{option} {100 * share:.0f} %" for option, share in shares))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (HybridError, FusionError, SkeletonError) as error:
        sys.exit(f"error: {sentence(error)}")
