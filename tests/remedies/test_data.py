"""Remedies of refusals about files, sources, ingest and splits, followed."""

import gzip
import hashlib
import importlib.util
import io
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from following import refused
from refusals import remedy_of

from cfmodel.config import IngestSettings, PipelineSettings, SplitSettings
from cfmodel.data.ingest.ingest import ingest
from cfmodel.data.ingest.profile import read_profile
from cfmodel.data.sources import downloads
from cfmodel.data.sources.sources import check_source
from cfmodel.data.sources.titles import read_titles
from cfmodel.data.splitting.parts import load_vocabularies, read_split
from cfmodel.data.splitting.split import split
from cfmodel.data.vocabulary import Vocabulary
from cfmodel.refs import DatasetRef

GOOD = "user_id,movie_id,rating\n" + "".join(f"u{n % 7},m{n % 11},{1 + n % 5}\n" for n in range(60))
Read = Callable[..., DatasetRef]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Write a file and ingest it with settings by their names below `ingest`."""

    def take(content: str | bytes, name: str = "x.csv", **changed: Any) -> DatasetRef:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return again(path, **changed)

    def again(path: Path, **changed: Any) -> DatasetRef:
        dotted = {f"ingest.{key.replace('__', '.')}": value for key, value in changed.items()}
        return ingest(str(path), PipelineSettings.of(overrides=dotted).ingest, folder=tmp_path / "data")

    take.again = again  # type: ignore[attr-defined]
    return take


@remedy_of("cfmodel/data/formats", "no column is recognised as")
@remedy_of("cfmodel/data/formats", "would be both {} and {}; set both in ingest.columns")
def test_columns_that_the_file_has_are_read(read: Read) -> None:
    odd = "who,what,much\na,b,3\nc,d,4\n"
    named = {"columns__user_id": "who", "columns__movie_id": "what", "columns__rating": "much"}
    with refused("no column is recognised as user_id", "'who', 'what', 'much'", "set ingest.columns.user_id"):
        read(odd)
    with refused("ingest.columns.rating is 'more'; the file has", "'much'"):
        read(odd, **named | {"columns__rating": "more"})
    with refused("would be both", "set both in ingest.columns"):
        read(odd, **named | {"columns__movie_id": "who"})
    assert read(odd, **named).rows == 2


@remedy_of("cfmodel/data/formats", "give the column's number, 1 to {}")
def test_a_columns_number_or_a_header_is_read(read: Read) -> None:
    with refused("ingest.columns.user_id is 'who', but the file has no header row; give the column's number, 1 to 3"):
        read("1,2,3\n4,5,1\n", columns__user_id="who", header=False)
    assert read("1,2,3\n4,5,1\n", columns__user_id="1").rows == 2
    assert read("who,movie_id,rating\n4,5,1\n", columns__user_id="who", header=True).rows == 1


@remedy_of("cfmodel/data/formats", "is not UTF-8 text; rename the column")
def test_a_renamed_column_is_read(read: Read) -> None:
    row = '{"user_id": "a", "\\ud800": 3}\n'
    with refused("is not UTF-8 text; rename the column"):
        read(row, "x.jsonl", layout="wide")
    assert read(row.replace("\\ud800", "movie"), "x.jsonl", layout="wide").rows == 1


@remedy_of("cfmodel/data/formats", "so its user column is unknown")
@remedy_of("cfmodel/data/formats", "ingest.columns.ignored names {}; the file has")
@remedy_of("cfmodel/data/formats", "the wide table has {}; it has")
def test_a_wide_table_with_its_user_column_and_distinct_movies_is_read(read: Read) -> None:
    with refused("set ingest.columns.user_id to the column's number, or to '' if each row is a new user"):
        read("1,2,3\n4,5,1\n", layout="wide", header=False)
    for user in ("1", ""):
        assert read("1,2,3\n4,5,1\n", layout="wide", header=False, columns__user_id=user).rows
    wide = "user,a,b\nx,1,2\ny,3,4\n"
    with refused("ingest.columns.ignored names 'c'; the file has", "'a', 'b'"):
        read(wide, layout="wide", columns__ignored=["c"])
    assert read(wide, layout="wide", columns__ignored=["b"]).movies == 1
    with refused("the wide table has two columns of the same name"):
        read(wide.replace("b\n", "a\n", 1), layout="wide")
    assert read(wide, layout="wide").movies == 2


@remedy_of("cfmodel/data/formats", "download or compress it again")
@remedy_of("cfmodel/data/formats", "decompress it and give the decompressed file")
@remedy_of("cfmodel/data/formats", "check the path and its permissions")
def test_a_file_compressed_again_or_not_at_all_is_read(
    read: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cfmodel.data.formats.compressed import CompressedFile

    packed = gzip.compress(GOOD.encode())
    with refused("is damaged gzip", "download or compress it again"):
        read(packed[:-20], "x.csv.gz")
    assert read(packed, "x.csv.gz").rows
    with monkeypatch.context() as patched:
        patched.setattr("cfmodel.data.formats.compressed._FROM_BYTES", 10)
        patched.setattr("cfmodel.data.formats.compressed._MOST_TIMES", 1)
        with refused("decompresses to more than 1 times its size", "decompress it and give the decompressed file"):
            read(gzip.compress(b"a,b,3\n" * 9999), "y.csv.gz")
    assert read(b"a,b,3\n" * 9999, "y.csv").rows
    with refused("check the path and its permissions"), CompressedFile(tmp_path / "absent.csv", None):
        pass
    with CompressedFile(tmp_path / "y.csv", None) as file:
        assert file.read(4)


@remedy_of("cfmodel/data/formats", "throughout ({}); set ingest.encoding")
def test_the_encoding_of_a_file_is_set(read: Read) -> None:
    content = GOOD.encode() + "é,m1,3\n".encode("latin-1")
    with refused("set ingest.encoding"):
        read(content, encoding="utf-8")
    assert read(content, encoding="latin-1").users == 8


@remedy_of("cfmodel/data/formats", "cannot be read as fields separated by {}: {}; set ingest.separator")
def test_rows_separated_by_another_text_are_read(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise pa.ArrowInvalid("straddling object")

    with monkeypatch.context() as patched:
        patched.setattr("pyarrow.csv.read_csv", fails)
        with refused("cannot be read as fields separated by ',': straddling object; set ingest.separator"):
            read(GOOD)
    assert read(GOOD.replace(",", ";"), "other.csv", separator=";").rows


@remedy_of("cfmodel/data/formats", "write one object per line")
def test_one_object_per_line_is_read(read: Read) -> None:
    with refused("row 1: is not one JSON object", "write one object per line"):
        read('{"user_id" 1, "movie_id": 2, "rating": 3}\n', "x.jsonl")
    assert read('{"user_id": 1, "movie_id": 2, "rating": 3}\n', "x.jsonl").rows == 1


def parquet(**columns: Any) -> bytes:
    buffer = io.BytesIO()
    table = {"user_id": ["a", "b"], "movie_id": ["x", "y"], "rating": [1.0, 2.0]} | columns
    pq.write_table(pa.table(table), buffer)
    return buffer.getvalue()


@remedy_of("cfmodel/data/formats", "cannot be read as Parquet")
@remedy_of("cfmodel/data/formats", "rows where its metadata say")
@remedy_of("cfmodel/data/reading", "name another column in ingest.columns")
def test_a_parquet_file_written_again_and_another_column_are_read(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    with refused("cannot be read as Parquet", "write or download it again"):
        read(parquet()[:-9], "x.parquet")
    with monkeypatch.context() as patched:
        patched.setattr(pq.ParquetFile, "iter_batches", lambda *_, **__: iter(()))
        with refused("has 0 rows where its metadata say 2; write or download it again"):
            read(parquet(), "x.parquet")
    assert read(parquet(), "x.parquet").rows == 2
    stars = {"rating": [["1"], ["2"]], "stars": [1.0, 2.0]}
    with refused("rating is of type list", "name another column in ingest.columns.rating"):
        read(parquet(**stars), "y.parquet", columns__rating="rating")
    assert read(parquet(**stars), "y.parquet", columns__rating="stars").rows == 2


@remedy_of("cfmodel/data/formats", "holds binary data; give CSV")
@remedy_of("cfmodel/data/ingest", "holds no ratings; give a source with at least one")
def test_a_text_with_a_rating_is_read(read: Read) -> None:
    with refused("give CSV, TSV, JSON lines or Parquet"):
        read(bytes(range(256)) * 8)
    with refused("holds no ratings; give a source with at least one"):
        read("user_id,movie_id,rating\n")
    assert read("user_id,movie_id,rating\n1,2,3\n").rows == 1


@remedy_of("cfmodel/data/ingest", "(read together: {} files, {}")
def test_a_glob_without_the_file_that_is_named_is_read(read: Read, tmp_path: Path) -> None:
    read(GOOD, "folder/a.csv")
    (tmp_path / "folder" / "notes.csv").write_bytes(bytes(range(256)) * 8)
    with refused("notes.csv: holds binary data", "(read together: 2 files, a.csv, notes.csv"):
        read.again(tmp_path / "folder")  # type: ignore[attr-defined]
    assert read.again(tmp_path / "folder" / "a*.csv").rows  # type: ignore[attr-defined]


@remedy_of("cfmodel/data/ingest", "raise the limit for one run")
@remedy_of("cfmodel/data/ingest", "set ingest.on_duplicate = 'last' or 'mean'")
def test_a_limit_raised_and_a_rule_for_pairs_are_followed(read: Read) -> None:
    read(GOOD)
    more = GOOD + "".join(f"u{n},n{n},3\n" for n in range(100))
    with refused("(ingest.drift.max_volume_change = 0.1)", "correct the source or", "raise the limit for one run"):
        read(more, drift__max_volume_change=0.1)
    assert read(more, drift__max_volume_change=9.0).rows > 60
    with refused("ratings share 1 (user, movie) pairs", "set ingest.on_duplicate = 'last' or 'mean'"):
        read("a,b,3\na,b,5\n", "y.csv", on_duplicate="stop")
    for rule in ("last", "mean"):
        assert read("a,b,3\na,b,5\n", "y.csv", on_duplicate=rule).rows == 1
    assert read("a,b,3\n", "y.csv", on_duplicate="stop").rows == 1  # one of them removed


@remedy_of("cfmodel/data/ingest", "more than ingest.max_bad_fraction = {} allows")
def test_a_raised_limit_sets_the_bad_rows_aside(read: Read) -> None:
    bad = "user_id,movie_id,rating\n" + "a,b,3\n" * 5 + "a,c,many\n"
    with refused("more than ingest.max_bad_fraction = 0.01 allows", "the bad rows are in"):
        read(bad, on_bad_row="quarantine")
    taken = read(bad, on_bad_row="quarantine", max_bad_fraction=0.5)
    assert taken.accounts.quarantined == 1
    assert read(bad.replace("many", "4"), on_bad_row="quarantine").accounts.quarantined == 0


@remedy_of("cfmodel/data/ingest", "ingest the source again")
@remedy_of("cfmodel/data/splitting", "ingest them again")
@remedy_of("cfmodel/data/splitting", "{}: cannot be read ({}); run the split again")
@remedy_of("cfmodel/data/splitting", "the files of the split have changed; run the split again")
@remedy_of("cfmodel/data/splitting", "holds no readable split; run the pipeline again")
def test_what_is_ingested_and_split_again_is_whole(read: Read, tmp_path: Path) -> None:
    taken = read(GOOD)
    shutil.rmtree(taken.path)
    with refused("cannot be read", "ingest the source again"):
        read_profile(taken.path)
    with refused("missing or have changed; ingest them again"):
        split(taken, SplitSettings(), folder=tmp_path)
    assert read_profile(read(GOOD).path)
    parts = split(read(GOOD), SplitSettings(), folder=tmp_path)
    (parts.path / "test.parquet").write_bytes(b"x")
    with refused("the files of the split have changed; run the split again"):
        load_vocabularies(parts)
    shutil.rmtree(parts.path)
    with refused("cannot be read (No such file or directory); run the split again"):
        load_vocabularies(parts)
    with refused("holds no readable split; run the pipeline again"):
        read_split(parts.path)
    again = split(read(GOOD), SplitSettings(), folder=tmp_path)
    assert load_vocabularies(again)
    assert read_split(again.path).digest == parts.digest


@remedy_of("cfmodel/data/splitting", "set split.test_source")
@remedy_of("cfmodel/data/splitting", "set it to 'predefined'")
@remedy_of("cfmodel/data/splitting", "remove them from one file")
@remedy_of("cfmodel/data/splitting", "lower split.min_ratings_per_user")
@remedy_of("cfmodel/data/splitting", "puts none of the {} ratings in {}")
def test_a_split_as_the_refusal_asks_for_it(read: Read, tmp_path: Path) -> None:
    taken = read(GOOD)

    def parted(data: DatasetRef = taken, test: DatasetRef | None = None, **changed: Any) -> int:
        return split(data, SplitSettings(**changed), test=test, folder=tmp_path).test_rows

    with refused("needs timestamps", "set split.strategy = 'random', or ", "ingest.columns.timestamp"):
        parted(strategy="temporal")
    assert parted(strategy="random")
    timed = "user_id,movie_id,rating,t\n" + "".join(f"u{n % 9},m{n},3,{1_600_000_000 + n}\n" for n in range(60))
    assert parted(read(timed, "t.csv", columns__timestamp="t"), strategy="temporal")
    held = read("user_id,movie_id,rating\nu1,zzz,3\n", "test.csv")
    predefined = {"strategy": "predefined", "test_source": "test.csv"}
    with refused("needs test ratings; set split.test_source"):
        parted(**predefined)
    with refused("takes no test ratings; set it to 'predefined'"):
        parted(test=held)
    assert parted(test=held, **predefined) == 1
    with refused("are in both the training and the test file", "remove them from one file"):
        parted(test=taken, **predefined)
    with refused("lower split.min_ratings_per_user (1000) or split.min_ratings_per_movie (1)"):
        parted(min_ratings_per_user=1000)
    assert parted(min_ratings_per_user=1)
    with refused("puts none of the", "in test; raise split.test_fraction, or give more ratings"):
        parted(test_fraction=0.0001)
    assert parted(test_fraction=0.2)


@remedy_of("cfmodel/data/vocabulary.py", "ids must be text or integers, not {}; convert them to text first")
@remedy_of("cfmodel/data/vocabulary.py", "ids must be text or integers: {}")
@remedy_of("cfmodel/data/vocabulary.py", "rows must be in [0, {}), not {} to {}")
@remedy_of("cfmodel/data/vocabulary.py", "write it again with Vocabulary.write")
def test_ids_as_text_rows_within_and_a_vocabulary_written_again(tmp_path: Path) -> None:
    known = Vocabulary.of(["a", "b"])
    with refused("not bool; convert them to text first"):
        known.encode([True])
    with refused("ids must be text or integers: "):
        known.encode([{"a": 1}, 2])
    assert known.encode(["True", "2"]).tolist() == [-1, -1]
    with refused("rows must be in [0, 2), not 0 to 2"):
        known.decode([0, 2])
    assert known.decode([0, 1]) == ["a", "b"]
    pq.write_table(pa.table({"id": ["b", "a"]}), tmp_path / "ids.parquet")
    with refused("the ids are not sorted and distinct; write it again with Vocabulary.write"):
        Vocabulary.read(tmp_path / "ids.parquet")
    known.write(tmp_path / "ids.parquet")
    assert len(Vocabulary.read(tmp_path / "ids.parquet")) == 2


@remedy_of("cfmodel/data/sources", "must be between {} and {}")
@remedy_of("cfmodel/data/sources", "{}: {} must be {}, not {}")
@remedy_of("cfmodel/data/sources", "known: {}, each as key=number")
@pytest.mark.parametrize(
    ("source", "words", "instead"),
    [
        ("synthetic:people=50", "known: users, movies, ratings", "synthetic:users=50,movies=40,ratings=600"),
        ("synthetic:users=many", "users must be", "synthetic:users=50,movies=40,ratings=600"),
        (
            "synthetic:users=50,movies=40,ratings=9999",
            "ratings must be between 50 and 1,000",
            "synthetic:users=50,movies=40,ratings=1000",
        ),
    ],
)
def test_generated_ratings_of_a_size_that_can_be(source: str, words: str, instead: str) -> None:
    with refused(words):
        check_source(source)
    check_source(instead)


@remedy_of("cfmodel/data/sources", "set scoring.titles to a CSV file")
def test_titles_from_a_csv_file(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(b"id,title\n")
    with refused("titles cannot be read", "set scoring.titles to a CSV file"):
        read_titles(tmp_path / "x.csv")
    (tmp_path / "x.csv").write_bytes(b"id,title\n1,Heat\n")
    assert read_titles(tmp_path / "x.csv") == {"1": "Heat"}


@remedy_of("cfmodel/data/sources", "no such file, folder or glob; give one")
@remedy_of("cfmodel/data/sources", "no file of ratings ({}, plain, .gz or .zst)")
@remedy_of("cfmodel/data/sources", "{}: cannot be read ({}); check its permissions")
def test_a_source_that_is_there(read: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with refused("no such file, folder or glob; give one, `synthetic`, or a public data set: ml-100k"):
        check_source(str(tmp_path / "absent.csv"))
    check_source("synthetic")
    check_source("ml-100k")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "notes.doc").touch()
    with refused("no file of ratings (.csv,", "it holds", "notes.doc"):
        check_source(str(tmp_path / "folder"))
    read(GOOD, "folder/a.csv")
    check_source(str(tmp_path / "folder"))
    with monkeypatch.context() as patched:

        def denied(path: Path) -> str:
            raise PermissionError(13, "Permission denied", str(path))

        patched.setattr("cfmodel.data.sources.sources.sha256_of_file", denied)
        with refused("a.csv: cannot be read (Permission denied); check its permissions"):
            read.again(tmp_path / "folder" / "a.csv")  # type: ignore[attr-defined]
    assert read.again(tmp_path / "folder" / "a.csv").rows  # type: ignore[attr-defined]


@remedy_of("cfmodel/data/sources", "is not supported; {}")
@remedy_of("cfmodel/data/sources", "set the credentials in the environment variables")
@remedy_of("cfmodel/data/sources", "needs the package {}; pip install {}")
@remedy_of("cfmodel/data/sources", "give another address")
@remedy_of("cfmodel/data/sources", "no such object, folder or glob")
@remedy_of("cfmodel/data/sources", "check the address and the store's configuration")
def test_another_address_in_a_store(read: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fsspec

    from cfmodel.data.sources import object_stores

    monkeypatch.setitem(object_stores._PACKAGES, "memory", "fsspec")
    store = fsspec.filesystem("memory")
    with store.open("/bucket/set/notes.md", "wb") as file:
        file.write(b"x")

    def taken(source: str) -> int:
        return ingest(source, IngestSettings(), folder=tmp_path / "data").rows

    with refused("http:// is not supported; download it, check its digest and give the file"):
        check_source("http://example.org/x.csv")
    with refused("must not hold a password or key", "set the credentials in the environment variables"):
        check_source("memory://key:secret-word@bucket/x.csv")
    with refused("holds no file of ratings", "give another address"):
        taken("memory://bucket/set")
    with refused("no such object, folder or glob"):
        taken("memory://bucket/x.csv")
    with store.open("/bucket/x.csv", "wb") as file:
        file.write(GOOD.encode())
    with monkeypatch.context() as patched:
        patched.setattr(type(store), "get_file", None)
        with refused("cannot be read", "check the address and the store's configuration"):
            taken("memory://bucket/x.csv")
    assert taken("memory://bucket/x.csv") == read(GOOD).rows
    if importlib.util.find_spec("s3fs") is None:
        with refused("s3:// needs the package s3fs; pip install s3fs") as raised:
            check_source("s3://bucket/x.csv")
        assert re.search(r'"s3fs', Path(__file__).parents[2].joinpath("pyproject.toml").read_text()) or raised


def archive(members: dict[str, bytes | zipfile.ZipInfo]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as zipped:
        for name, content in members.items():
            if isinstance(content, zipfile.ZipInfo):
                zipped.writestr(content, b"/etc/passwd")
            else:
                zipped.writestr(name, content)
    return buffer.getvalue()


def link(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, 0o120777 << 16
    return info


@remedy_of("cfmodel/data/sources", "put the archive at {} yourself, or use the source `synthetic`")
@remedy_of("cfmodel/data/sources", "retry later, or put the archive at {} yourself")
@remedy_of("cfmodel/data/sources", "is not the published archive (MD5 {}")
@remedy_of("cfmodel/data/sources", "holds no {}; replace it with the published archive")
@remedy_of("cfmodel/data/sources", "is a link; replace it with the published archive")
@remedy_of("cfmodel/data/sources", "is a damaged archive")
@remedy_of("cfmodel/data/sources", "unpacks to more than")
def test_the_published_archive_put_where_it_is_named_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    member = downloads.PUBLIC_SETS["ml-1m"].member
    good = archive({member: b"1::2::3::4\n5::6::1::7\n"})
    monkeypatch.delenv("CFMODEL_DATA_DIR", raising=False)
    monkeypatch.setattr(downloads, "BASE_URL", "http://127.0.0.1:9/")
    monkeypatch.setattr(downloads, "_PAUSES_SECONDS", ())

    def publish(content: bytes) -> None:
        known = downloads.PublicSet(member, hashlib.md5(content).hexdigest())
        monkeypatch.setitem(downloads.PUBLIC_SETS, "ml-1m", known)

    def taken() -> int:
        return ingest("ml-1m", IngestSettings(), folder=tmp_path).rows

    publish(good)
    with refused("ml-1m cannot be downloaded", "put the archive at", "or use the source `synthetic`") as raised:
        taken()
    check_source("synthetic")
    place = Path(re.findall(r"archive at (\S+) yourself", str(raised.value))[0])

    def differs(*_: object) -> None:
        raise ValueError("MD5")

    with monkeypatch.context() as patched:
        patched.setattr(downloads, "_download_once", differs)
        with refused("retry later, or put the archive at", str(place)):
            taken()
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(good + b"x")
    with refused("is not the published archive", "remove it to download it again, or replace it with the published"):
        taken()
    for content, words in (
        (archive({"other": b"x"}), f"holds no {member}; replace it with the published archive"),
        (archive({member: link(member)}), "is a link; replace it with the published archive"),
        (good[:-30], "is a damaged archive"),
    ):
        publish(content)
        place.write_bytes(content)
        with refused(words):
            taken()
    publish(good)
    place.write_bytes(good)
    with monkeypatch.context() as patched:
        patched.setattr(downloads, "_MOST_BYTES", 3)
        with refused("unpacks to more than 3 bytes, so it is not a published set; remove it to download that"):
            taken()
    assert taken() == 2
