"""The stages of the parser of motion claims; `hybrid.scoring.claims.read_claims` puts them together."""
