"""Ratings small enough to work out by hand: train, val and test as (user, movie, rating) rows."""

TRAIN = [("a", "x", 5.0), ("a", "y", 1.0), ("b", "x", 3.0), ("b", "z", 3.0)]
VAL = [("b", "y", 2.0)]
TEST = [("a", "z", 4.0), ("b", "w", 5.0), ("c", "x", 4.0), ("d", "v", 2.0)]
