"""Ratings on disk, and the check of their digests."""

import pytest
from small_splits import divide, random_rows

from cfmodel.config import IngestSettings
from cfmodel.data.ingest.ingest import ingest
from cfmodel.data.storage import is_whole


def test_a_flipped_bit_or_a_missing_file_is_detected(tmp_path):
    ref = ingest("synthetic:users=20,movies=10,ratings=60", IngestSettings(), folder=tmp_path)
    assert is_whole(ref)
    path = ref.path / "ratings.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert not is_whole(ref)
    path.unlink()
    assert not is_whole(ref)


@pytest.mark.parametrize("name", ["train", "val", "test", "users", "movies"])
def test_a_split_with_a_missing_file_is_not_whole(tmp_path, name):
    ref, _ = divide(random_rows(), tmp_path)
    (ref.path / f"{name}.parquet").unlink()
    assert not is_whole(ref)
