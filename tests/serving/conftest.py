"""Models really trained and recorded, on ratings with a planted truth."""

from teams import _one_thread, promotion_folder, team  # noqa: F401 - fixtures
