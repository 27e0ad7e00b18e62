"""Which ratings each step learns from."""
