"""What was measured, as frozen records and as files."""
