"""From raw rows to checked ratings with their types."""
