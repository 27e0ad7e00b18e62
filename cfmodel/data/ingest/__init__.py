"""From a source to typed Parquet: duplicates, quarantine, profile and drift."""
