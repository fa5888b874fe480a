"""Errors of the skeleton package: one sentence each, saying what was expected, what was found and what to do.

Subclasses exist only where a caller tells them apart, for instance to set one bad video aside and go on.
"""


class SkeletonError(ValueError):
    """Base of every error that the skeleton package raises on bad input."""


class DataError(SkeletonError):
    """A sample, prediction or data file that cannot be used as it is."""


class LayoutError(SkeletonError):
    """An unknown joint layout, or a layout table that contradicts itself."""


class RecordError(SkeletonError):
    """A skeleton record, or a file of one, that does not hold what it must."""


class VideoError(SkeletonError):
    """A file that is missing, is not a video, or has no frame that can be decoded."""


class ExtractionError(SkeletonError):
    """A detector, pose estimator or their weights that cannot be used."""


class FormatError(SkeletonError):
    """A file of another program that is missing, cut, not of its format, or not safe to read."""
