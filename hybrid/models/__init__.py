"""Networks: the video language model with joint tokens, and the recogniser of actions."""
