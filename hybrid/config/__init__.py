"""Configurations: how they are read and merged, and the keys of each kind of work."""
