"""Runs from start to end: train, test, ask, export, the demo; their folders, checkpoints and trainers."""
