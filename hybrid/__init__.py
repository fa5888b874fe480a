"""The product: configuration, samples, the pose-grounded video MLLM, training, testing and scoring."""

__version__ = "0.1.0"
