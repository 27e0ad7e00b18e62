"""Registered models: versions, aliases and promotions."""
