"""Marionette: the built-in synthetic data set of moving bodies, with exact truth (DESIGN section 4)."""
