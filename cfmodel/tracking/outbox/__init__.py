"""Write what is logged about a run to a journal on this disk, and deliver it to MLflow."""
