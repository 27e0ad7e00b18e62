from pathlib import Path

import pytest

from cfmodel.errors import PublishError
from cfmodel.recommending.publish_lists import publish_lists


def test_the_link_is_relative_and_moves_from_one_folder_to_the_next(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        link = publish_lists(tmp_path / name)
        assert (link.name, str(link.readlink())) == ("latest", name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "latest", "second"]


def test_a_latest_that_is_not_a_link_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "latest").mkdir()
    (tmp_path / "new").mkdir()
    with pytest.raises(PublishError, match="is not a symbolic link"):
        publish_lists(tmp_path / "new")
