"""Limb events from skeletons: kinematics of each person -> movements of each limb -> LimbEvents.

Detectors, one file each, read kinematics and the numbers of thresholds.json and know nothing of each other.
"""

from skeleton.events.detectors.detect import MOVING, detect_events

__all__ = ["MOVING", "detect_events"]
