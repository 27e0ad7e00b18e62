"""File formats: from bytes to raw rows, for each kind of file that holds ratings."""
