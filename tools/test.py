"""Test a run: python tools/test.py configs/experiment/NAME.yaml [more.yaml ...] [key=value ...]

`runs/NAME/config.yaml`, which training leaves, is the run's whole configuration and will do as well.
Writes predictions.jsonl, then scores it to report.json and report.html. `test.score_only=true` scores again without a
model. `test.probes=[none,shuffle,no_video,text_only]` asks the same questions with the pose withheld, with another clip's
pose, without the video, and without both.
"""

import sys
from pathlib import Path

from fusion.errors import FusionError
from hybrid.config import load_config
from hybrid.errors import HybridError, sentence
from hybrid.run_folder import RunFolder
from hybrid.schema import TrainConfig
from hybrid.scoring.table import compare
from skeleton.errors import SkeletonError


def main(arguments: list[str]) -> None:
    config = load_config(TrainConfig, arguments, prog="tools/test.py", description=__doc__)
    from hybrid.testing import answer, report  # after the configuration is found right: it takes seconds to import

    folder = RunFolder(Path(config.output) / config.name)
    if not config.test.score_only:
        answer(config, folder)
    print(compare({config.name: report(config, folder)}))
    print(f"report: {folder.report} and {folder.page}")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (HybridError, FusionError, SkeletonError) as error:
        sys.exit(f"error: {sentence(error)}")
