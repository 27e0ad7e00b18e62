"""Models really trained and recorded, to be compared."""

from teams import _one_thread, promotion_folder, team  # noqa: F401 - fixtures
