"""Whether a challenger may take the champion's place."""
