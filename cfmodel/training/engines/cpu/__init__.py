"""The compiled engine for the CPU."""
