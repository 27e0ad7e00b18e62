"""MLflow runs: started, found, resumed, ended and pruned."""
