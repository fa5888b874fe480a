"""What can go wrong when a body enters a language model."""


class FusionError(ValueError):
    """Joint tokens and the language model's input disagree."""
