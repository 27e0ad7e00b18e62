"""Fit the model: batches, one update, the loop around it, and the records it emits."""
