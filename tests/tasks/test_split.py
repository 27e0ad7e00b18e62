"""The task that splits ratings."""

from collections.abc import Callable
from typing import Any

from tasks.split import split_ratings


def test_the_same_ratings_and_settings_are_split_once(pieces: Any, in_flow: Callable[[Callable[[], Any]], Any]) -> None:
    again = in_flow(lambda: split_ratings(pieces.data, pieces.settings))
    assert (pieces.parts.reused, again.reused) == (False, True)
    assert again == pieces.parts
    other = pieces.settings.model_copy(update={"split": pieces.settings.split.model_copy(update={"seed": 1})})
    assert not in_flow(lambda: split_ratings(pieces.data, other)).reused
