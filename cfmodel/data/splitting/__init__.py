"""From a data set to train, val and test, and back into memory."""
