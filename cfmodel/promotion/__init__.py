"""Compare a challenger with the champion, and decide whether it replaces it."""
