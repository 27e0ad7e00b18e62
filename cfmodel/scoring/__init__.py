"""Recommendations for every user, written, checked and published."""
