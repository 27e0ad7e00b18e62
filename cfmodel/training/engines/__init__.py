"""Engines: one update step, several ways to do it, all computing the same numbers."""
