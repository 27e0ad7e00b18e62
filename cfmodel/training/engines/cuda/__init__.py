"""The fused engine for CUDA."""
