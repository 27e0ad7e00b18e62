"""Ingest: write a source as typed Parquet, with duplicates, quarantine, profile and drift."""
