"""Samples, collation and data modules."""
