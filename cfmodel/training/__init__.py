"""Training: batches, engines, the training loop, checkpoints and records."""
