"""Ratings from a source to typed parts: read, ingest, split and read back."""
