"""Measure: python tools/bench.py NAME output=FILE.json [key=value ...]

  extract    extraction against MMPoseInferencer: video=FILE weights=DIR output=FILE.json
  equality   joints against MMPoseInferencer's:   video=FILE weights=DIR output=FILE.json
  memory     peak memory against length:         video=FILE weights=DIR output=FILE.json
  tracking   identities on rendered crossings:    output=FILE.json

`python tools/bench.py NAME --help` lists the keys. The figures are printed and written as JSON with the command,
the commit, the date and the kind of machine.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hybrid.benches import equality, extraction, memory, tracking
from hybrid.benches.equality import EqualityBench
from hybrid.benches.extraction import ExtractBench
from hybrid.benches.memory import MemoryBench
from hybrid.benches.tracking import TrackBench
from hybrid.config import load_config
from hybrid.errors import ConfigError, HybridError
from hybrid.run_folder import environment, write_json
from skeleton.errors import SkeletonError

BENCHES = {
    "equality": (EqualityBench, equality.measure),
    "extract": (ExtractBench, extraction.measure),
    "memory": (MemoryBench, memory.measure),
    "tracking": (TrackBench, tracking.measure),
}


def main(arguments: list[str]) -> None:
    """Runs the bench that is named first."""
    if not arguments or arguments[0] not in BENCHES:
        found = arguments[0] if arguments else "nothing"
        raise ConfigError(f"expected a bench ({', '.join(BENCHES)}) first, found {found}: {__doc__.splitlines()[0]}")
    schema, work = BENCHES[arguments[0]]
    config = load_config(schema, arguments[1:], description=__doc__)
    figures = {**work(config), "environment": environment()}
    write_json(config.output, figures)
    for name, value in figures.items():
        if not isinstance(value, dict):
            print(f"{name:26} {value:.4g}" if isinstance(value, float) else f"{name:26} {value}")
    print(f"figures in {config.output}")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (HybridError, SkeletonError) as error:
        sys.exit(f"error: {error}")
