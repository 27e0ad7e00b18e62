"""A trained recommender: saved and loaded, asked for predictions and lists, and served."""
