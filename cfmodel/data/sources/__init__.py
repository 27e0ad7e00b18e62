"""Sources of ratings: files, object stores, public data sets and synthetic ratings."""
