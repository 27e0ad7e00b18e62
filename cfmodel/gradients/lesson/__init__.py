"""The lesson: what a gradient is, with the numbers of one real rating."""
