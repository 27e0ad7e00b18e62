"""Turn a table of ratings into a tracked recommender, and see what the gradients did."""

__version__ = "0.1.0"
