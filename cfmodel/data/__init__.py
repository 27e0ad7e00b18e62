"""Ratings, from the source to the parts of a split: read, ingest, split and load."""
