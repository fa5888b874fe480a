"""The demo (`make demo`): prepare Marionette, train and test a video-only and a pose-grounded model, ask about a clip.

python tools/demo.py [clips=N] [test_clips=N] [data=DIR] [runs=DIR] [key=value ...]: other keys override both trainings.
DEMO_VIDEO=FILE asks about your own video. Finished steps are not done again; remove runs/demo_* to train anew.
"""

import sys
import time

from hybrid.config.instruction import TrainConfig
from hybrid.config.loading import load_config
from hybrid.errors import HybridError, sentence
from hybrid.runs.demo import (
    FOUNDATIONS,
    NOTES,
    QUESTIONS,
    RUNS,
    Settings,
    paths,
    real_clip,
    run_through,
    steps,
    table,
    work,
)
from skeleton.errors import SkeletonError


def main(arguments: list[str]) -> None:
    if "--help" in arguments or "-h" in arguments:
        print(__doc__)
        return
    started, settings = time.time(), Settings.read(arguments)
    print(f"[1/4] Marionette: {settings.clips} training clips", flush=True)
    counts = f"clips={settings.clips}", f"test_clips={settings.test_clips}"
    run_through("prepare", "marionette", f"output={settings.data}", *counts)
    print(
        f"[2/4] training {', '.join((*FOUNDATIONS, *RUNS))}, and tests (logs: runs/*/train.log, test.log)", flush=True
    )
    work(steps(settings))
    config = load_config(TrainConfig, [str(settings.runs / RUNS["grounded"] / "config.yaml")])
    result = f"{table(settings)}\n\n{NOTES.format(frames=config.data.frames, fps=config.data.pose_fps)}"
    (settings.runs / "demo_table.txt").write_text(result + "\n")
    print(f"[3/4] result (also in {settings.runs / 'demo_table.txt'})\n\n{result}\n", flush=True)
    print("[4/4] a clip", flush=True)
    run_through(
        "ask", str(settings.runs / RUNS["grounded"] / "config.yaml"), *paths(settings), *real_clip(settings),
        f"question={' | '.join(QUESTIONS)}", "overlay=true",
    )  # fmt: skip
    print(f"reports: runs/*/report.html; skeleton and overlay: {settings.runs / RUNS['grounded'] / 'asked'}")
    print(f"the demo took {(time.time() - started) / 60:.1f} minutes")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (HybridError, SkeletonError) as error:
        sys.exit(f"error: {sentence(error)}")
