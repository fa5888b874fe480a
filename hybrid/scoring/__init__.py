"""Answers parsed strictly, scored against the truth, and shown."""
