"""Splitting: divide a data set into train, val and test, and load the parts."""
