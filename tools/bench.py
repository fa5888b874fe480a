"""Measure: python tools/bench.py NAME output=FILE.json [key=value ...]

  checker    captions true and wrong in one thing: output=FILE.json
  encoder    ST-GCN++ against mmaction2's:         output=FILE.json
  equality   joints against MMPoseInferencer's:    video=FILE weights=DIR output=FILE.json
  events     limb events against Marionette's:     output=FILE.json
  extract    extraction against MMPoseInferencer:  video=FILE weights=DIR output=FILE.json
  limbs      which arm moves, on motion capture:   file=FILE.npz output=FILE.json
  memory     peak memory against length:           video=FILE weights=DIR output=FILE.json
  mocap      the test set made of motion capture:  file=FILE.npz output=FILE.json
  parser     motion claims read from captions:     captions=FILE.json [part=report] output=FILE.json
  proxy      answers of proxy tasks against truth: output=FILE.json
  reality    Marionette against real motion:       captures=FILE.npz records=DIR output=FILE.json
  recognition  runs of recognition side by side:   runs=[DIR,...] output=FILE.json
  tracking   identities on rendered crossings:     output=FILE.json

`python tools/bench.py NAME --help` lists the keys. The figures are printed and written as JSON with the command,
the commit, the date and the kind of machine.
"""

import sys
from importlib import import_module
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hybrid.config.loading import load_config
from hybrid.errors import ConfigError, HybridError
from hybrid.runs.run_folder import environment
from skeleton.errors import SkeletonError
from skeleton.jsonl import write_json

BENCHES = {  # name -> module of hybrid.benches, its keys; each module has a function `measure`
    "checker": ("checker", "CheckerBench"),
    "encoder": ("encoder", "EncoderBench"),
    "equality": ("equality", "EqualityBench"),
    "events": ("events", "EventsBench"),
    "extract": ("extraction", "ExtractBench"),
    "limbs": ("limbs", "LimbsBench"),
    "memory": ("memory", "MemoryBench"),
    "mocap": ("mocap", "MocapBench"),
    "parser": ("parser", "ParserBench"),
    "proxy": ("proxy", "ProxyBench"),
    "reality": ("reality", "RealityBench"),
    "recognition": ("recognition", "RecognitionBench"),
    "tracking": ("tracking", "TrackBench"),
}


def main(arguments: list[str]) -> None:
    """Runs the bench that is named first."""
    if arguments and arguments[0] in ("--help", "-h"):
        print(__doc__.strip())
        return
    if not arguments or arguments[0] not in BENCHES:
        found = arguments[0] if arguments else "nothing"
        raise ConfigError(f"expected a bench ({', '.join(BENCHES)}) first, found {found}: {__doc__.splitlines()[0]}")
    name, schema = BENCHES[arguments[0]]
    module = import_module(f"hybrid.benches.{name}")
    config = load_config(getattr(module, schema), arguments[1:], description=__doc__)
    figures = {**module.measure(config), "environment": environment()}
    write_json(config.output, figures)
    for name, value in figures.items():
        if not isinstance(value, dict):
            several = isinstance(value, list) and value and isinstance(value[0], dict)  # runs: a line for each
            for row in value if several else [value]:
                print(f"{name:26} {text(row)}")
    print(f"figures in {config.output}")


def text(value: object) -> str:
    """Numbers in four digits, in lists and dictionaries too."""
    match value:
        case float():
            return f"{value:.4g}"
        case list():
            return f"[{', '.join(map(text, value))}]"
        case dict():
            return ", ".join(
                f"{key} ({text(item)})" if isinstance(item, dict) else f"{key} {text(item)}"
                for key, item in value.items()
            )
        case _:
            return str(value)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (HybridError, SkeletonError) as error:
        sys.exit(f"error: {error}")
