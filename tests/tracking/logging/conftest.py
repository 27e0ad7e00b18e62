"""Two real runs, for the tests of what is logged of their gradients."""

from watched import trained_split, watched_runs  # noqa: F401 - fixtures
