"""The stages of the parser of motion claims; `hybrid.scoring.claims` puts them together."""
