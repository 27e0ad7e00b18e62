"""Object stores, with fsspec's store in memory."""

import importlib.util
import io

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cfmodel.config import IngestSettings
from cfmodel.data.ingest.ingest import ingest
from cfmodel.data.sources.sources import check_source
from cfmodel.errors import DataError


@pytest.fixture
def bucket():
    store = fsspec.filesystem("memory")
    yield store
    store.rm("/bucket", recursive=True)


def put(bucket, name, content=b"1,2,3\n"):
    bucket.pipe(f"/bucket/{name}", content)


def test_a_file_a_folder_and_a_glob_of_a_store_are_read(bucket, read):
    put(bucket, "ratings.csv", b"u,m,3\n")
    parquet = io.BytesIO()
    pq.write_table(pa.table({"user": ["p"], "item": ["m"], "rating": [1.0]}), parquet)
    for name, content in (
        ("set/day=1/part-0.parquet", parquet.getvalue()),
        ("set/day=2/part-0.csv", b"q,m,4\n"),
        ("set/_SUCCESS", b""),
        ("set/.hidden.csv", b"x"),
        ("set/readme.md", b"x"),
    ):
        put(bucket, name, content)
    assert [row[0] for row in read("memory://bucket/ratings.csv")[1]] == ["u"]
    assert [row[0] for row in read("memory://bucket/set")[1]] == ["p", "q"]
    assert [row[0] for row in read("memory://bucket/set/*/*.csv")[1]] == ["q"]


def test_a_copy_is_made_once_per_content(bucket, tmp_path, monkeypatch):
    put(bucket, "x.csv")
    first = ingest("memory://bucket/x.csv", IngestSettings(), folder=tmp_path)
    monkeypatch.setattr(type(bucket), "get_file", None)  # fetched again it would fail
    assert ingest("memory://bucket/x.csv", IngestSettings(), folder=tmp_path) == first
    monkeypatch.undo()
    put(bucket, "x.csv", b"1,2,3\n4,5,6\n")
    assert ingest("memory://bucket/x.csv", IngestSettings(), folder=tmp_path).rows == 2


def test_a_name_in_a_store_cannot_write_outside_the_folder(bucket, read, tmp_path):
    put(bucket, "set/x\\..\\..\\evil.csv")
    put(bucket, "set/a/x..csv", b"5,6,1\n")
    read("memory://bucket/set")
    written = [path for path in tmp_path.rglob("*.csv") if path.is_file()]
    assert written
    assert all((tmp_path / "data" / "downloads" / "objects") in path.parents for path in written)


def test_an_address_of_this_machine_is_a_path(write, read):
    assert len(read(write("x.csv", "1,2,3\n").as_uri())[1]) == 1


@pytest.mark.parametrize("name", ["nothing.csv", "nothing/*.csv", "empty"])
def test_a_missing_object_is_refused_with_its_address(name, bucket, read):
    put(bucket, "empty/notes.md")
    with pytest.raises(DataError, match=r"^memory://bucket/.*: (no such object|holds no file of ratings)") as refusal:
        read(f"memory://bucket/{name}")
    assert name in str(refusal.value)


@pytest.mark.parametrize(("protocol", "package"), [("s3", "s3fs"), ("gs", "gcsfs"), ("abfs", "adlfs")])
def test_a_missing_package_is_named_before_anything_runs(protocol, package):
    if importlib.util.find_spec(package):
        pytest.skip(f"{package} is installed")
    with pytest.raises(DataError, match=rf"{protocol}:// needs the package {package}; pip install {package}"):
        check_source(f"{protocol}://bucket/ratings.csv")


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("http://example.org/x.csv", "http:// is not supported; download it, check its digest and give the file"),
        ("https://example.org/x.csv", "https:// is not supported; download it"),
        ("github://a:b@/x.csv", "github:// is not supported; use one of s3"),
        ("zip://x.csv::s3://bucket/x.zip", "is not supported"),
        ("s3://key:secret@bucket/x.csv", "a source's address must not hold a password or key"),
        ("s3://key:sec/ret-secret@bucket/x.csv", "environment variables"),
        ("s3://bucket/x.csv?X-Amz-Signature=secret", "fsspec's configuration"),
        ("https://me:secret@example.org/x.csv", "https:// is not supported; download it"),
    ],
)
def test_other_addresses_are_refused_without_their_secrets(source, problem):
    with pytest.raises(DataError, match=problem) as refusal:
        check_source(source)
    assert "secret" not in str(refusal.value)


def test_brackets_in_the_name_of_what_a_store_holds_are_no_pattern(bucket, read):
    put(bucket, "all [old]/a[1].csv", b"7,a,3\n")
    put(bucket, "all o/a1.csv", b"8,a,3\n")
    for name in ("all [old]/a[1].csv", "all [old]/*.csv", "all [old]"):
        assert [row[0] for row in read(f"memory://bucket/{name}")[1]] == ["7"]
