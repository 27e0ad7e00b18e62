"""Checkpoints, and how a training resumes from one."""
