"""Test a run: python tools/test.py configs/experiment/NAME.yaml [more.yaml ...] [key=value ...]

`runs/NAME/config.yaml`, which training leaves, is the run's whole configuration and will do as well.
Writes predictions.jsonl, then scores it to report.json and report.html. `test.score_only=true` scores again without a
model. `test.probes=[none,shuffle,no_video,text_only]` asks the same questions with the pose withheld, with another clip's
pose, without the video, and without both. A run of recognition (`kind=recognition --help`) is tested likewise, with
`test.probes={miss_joints: 0.3}` for skeletons that lack joints, and `test.members=[runs/A,runs/B]` adds up the scores of runs.
"""

import sys
from pathlib import Path

from fusion.errors import FusionError
from hybrid.config.loading import load_config
from hybrid.errors import HybridError, sentence
from hybrid.runs.kinds import kind_of
from hybrid.runs.run_folder import RunFolder
from hybrid.scoring.table import compare
from skeleton.errors import SkeletonError


def main(arguments: list[str]) -> None:
    kind = kind_of(arguments)
    config = load_config(kind.schema, arguments, prog="tools/test.py", description=__doc__)
    testing = kind.testing()
    folder = RunFolder(Path(config.output) / config.name)
    if not config.test.score_only:
        testing.answer(config, folder)
    print(compare({config.name: testing.report(config, folder)}))
    print(f"report: {folder.report} and {folder.page}")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (HybridError, FusionError, SkeletonError) as error:
        sys.exit(f"error: {sentence(error)}")
