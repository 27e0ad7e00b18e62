"""The lesson: an explanation of gradients with the numbers of one real rating."""
