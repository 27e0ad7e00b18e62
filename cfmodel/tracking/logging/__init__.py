"""Log to a run: its model, data, gradients, evaluation, and comparisons of runs."""
