"""Skeleton encoders, one network per file; `build_encoder` picks one by name.

The name of an encoder is that of its file, which calls the network ENCODER: adding one takes a file (docs/encoders.md).
"""

from importlib import import_module
from inspect import signature
from pkgutil import iter_modules

from skeleton.encoders.base import Encoder, JointFeatures
from skeleton.errors import SkeletonError

__all__ = ["ENCODERS", "Encoder", "JointFeatures", "build_encoder"]

ENCODERS = tuple(sorted({module.name for module in iter_modules(__path__)} - {"base", "layers", "onednn_linear"}))


def build_encoder(
    name: str,
    layout: str = "coco17",
    width: int = 64,
    depth: int = 5,
    stride: int = 8,
    streams: tuple[str, ...] | list[str] = ("joint", "motion", "position"),
    **options,
) -> Encoder:
    """The encoder called `name` (SkeletonError lists the names); `options` are those of its constructor.

    width D, depth blocks, stride in time (T' = ceil(T / stride)), streams as in skeleton.inputs.streams.streams.
    """
    if name not in ENCODERS:
        raise SkeletonError(f"unknown encoder {name!r}; choose one of {', '.join(ENCODERS)}")
    network = import_module(f"skeleton.encoders.{name}").ENCODER
    known = list(signature(network).parameters)
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise SkeletonError(
            f"expected options of the encoder {name} among {', '.join(known)}, found {unknown[0]!r}; drop it"
        )
    return network(layout=layout, width=width, depth=depth, stride=stride, streams=tuple(streams), **options)
