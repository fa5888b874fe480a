"""Limb events: the vocabulary, kinematics, detectors, and targets of training."""
