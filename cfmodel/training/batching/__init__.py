"""Batches: the ratings of each step."""
