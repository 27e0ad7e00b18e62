"""Statistics of a tensor: histogram, quantiles and effective rank."""
