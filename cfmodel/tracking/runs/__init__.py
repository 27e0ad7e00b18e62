"""Start, find, resume, end and prune MLflow runs."""
