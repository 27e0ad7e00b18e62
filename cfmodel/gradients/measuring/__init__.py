"""The monitor: measurements of gradients and tables during training."""
