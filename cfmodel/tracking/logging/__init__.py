"""What is logged to a run: model, data, gradients, evaluation and comparisons."""
