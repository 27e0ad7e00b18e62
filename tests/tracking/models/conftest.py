"""Models really trained and recorded, some longer than others, on ratings with a planted truth."""

from teams import _one_thread, promotion_folder, team  # noqa: F401 - fixtures
