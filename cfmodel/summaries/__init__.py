"""The result of a run as people read it: its errors beside the baselines, and its page in MLflow."""
