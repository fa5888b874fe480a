"""Limb events and poses in words: captions, questions and their balance."""
