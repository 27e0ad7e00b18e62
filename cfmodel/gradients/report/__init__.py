"""Report and comparison pages: self-contained HTML."""
