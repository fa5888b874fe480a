"""Layouts: which joints a skeleton has, in which order, and how one layout becomes another."""
