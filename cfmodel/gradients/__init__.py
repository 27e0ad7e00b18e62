"""The view into training: what the gradients did, whether it is healthy, and what it means."""
