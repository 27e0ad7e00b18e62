"""File formats: turn the bytes of CSV, JSON lines and Parquet files into raw rows."""
