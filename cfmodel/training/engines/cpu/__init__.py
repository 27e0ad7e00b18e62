"""The fused engine for the CPU."""
