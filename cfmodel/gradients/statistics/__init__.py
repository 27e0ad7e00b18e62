"""Statistics of a tensor: counts by bucket, quantiles and effective rank."""
