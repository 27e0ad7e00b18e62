"""HTML pages about gradients: the report of one run, and the comparison of several."""
