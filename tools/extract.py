"""Skeletons of videos: `python tools/extract.py videos=PATH output=DIR [key=value ...]`.

Writes one record (.npz) for each video, index.jsonl, and failures.jsonl with the videos that were set aside;
the exit status is 1 if there are any. Running it again does only what is missing. `--help` lists the keys.
"""

import logging
import os
import sys
import warnings
from pathlib import Path

# Idle threads must not spin: on a busy machine that makes small networks several times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hybrid.config.extraction import ExtractConfig
from hybrid.config.loading import load_config
from hybrid.errors import HybridError
from skeleton.errors import SkeletonError


def main(arguments: list[str]) -> int:
    """Runs the extraction; 0 when every video has its record."""
    try:
        config = load_config(ExtractConfig, arguments, description="Extract skeletons from videos.")
        print(f"videos     {config.videos}")
        print(f"detector   {config.detector.config}")
        print(f"estimator  {config.estimator.config}")
        print(f"device     {config.device}, {os.cpu_count()} cores, shard {config.shard}", flush=True)
        from hybrid.runs.extraction import extract_videos

        logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
        warnings.filterwarnings("ignore", message="The 'predict_dataloader' does not have many workers")
        warnings.filterwarnings("ignore", message=r"`isinstance\(treespec, LeafSpec\)` is deprecated")
        summary = extract_videos(config)
    except (HybridError, SkeletonError) as error:
        print(error, file=sys.stderr)
        return 1
    for failure in summary.failures:
        print(f"set aside: {failure['video']}: {failure['reason']}", file=sys.stderr)
    print(f"{summary.extracted} extracted, {summary.skipped} finished before, {len(summary.failures)} set aside")
    if summary.failures:
        print(f"reasons in {Path(config.output) / 'failures.jsonl'}")
    print(f"records in {config.output}")
    return 1 if summary.failures else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
