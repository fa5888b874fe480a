"""Measurements against peers, each in its own process and in the same run."""
