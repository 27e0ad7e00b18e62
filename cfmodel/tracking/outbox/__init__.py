"""The journal of a run on disk, and its delivery to MLflow."""
