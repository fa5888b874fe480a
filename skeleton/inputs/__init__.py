"""Skeletons as the input of networks: batches, streams, resampling, augmentation, graphs."""
