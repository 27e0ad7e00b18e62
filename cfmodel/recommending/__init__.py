"""The trained recommender: saving and loading, predictions, top-k lists, fold-in, batch scoring and serving."""
