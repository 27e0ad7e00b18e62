"""Files as people have them, written and ingested."""

import pyarrow.parquet as pq
import pytest
from stored_ratings import rows_in

from cfmodel.config import IngestSettings
from cfmodel.data.ingest.ingest import ingest
from cfmodel.schema import RATINGS


@pytest.fixture
def read(tmp_path):
    """Ingest a source and return the ref and its rows."""

    def read(source, **settings):
        ref = ingest(str(source), IngestSettings(**settings), folder=tmp_path / "data")
        table = pq.read_table(ref.path / "ratings.parquet")
        assert table.schema.equals(RATINGS)
        return ref, rows_in(table)

    return read


@pytest.fixture
def write(tmp_path):
    """Write a file and return its path."""

    def write(name, content):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write
