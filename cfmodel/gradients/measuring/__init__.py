"""The monitor: measures gradients and tables while a model trains."""
