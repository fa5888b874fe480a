"""From a video to a `Skeleton`: detector, pose estimator, tracker, and the streaming pipeline over them."""
