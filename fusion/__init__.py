"""How a body enters a language model: joint tokens, projector, placement, injection, anchoring."""
