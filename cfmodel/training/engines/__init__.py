"""Engines: several implementations of the same update step."""
