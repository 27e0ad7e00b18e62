"""Downloads of public data sets, from a server on this machine."""

import hashlib
import io
import logging
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import ClassVar

import pytest

from cfmodel.config import IngestSettings
from cfmodel.data.ingest.ingest import ingest
from cfmodel.data.sources import downloads
from cfmodel.errors import DataError

RATINGS = b"1::2::3::4\n5::6::1::7\n"


def zipped(**members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/"), content)
    return buffer.getvalue()


ARCHIVE = zipped(**{"ml-1m__ratings.dat": RATINGS, "..__..__evil.txt": b"x", "ml-1m__movies.dat": b"x"})


@pytest.fixture(autouse=True)
def no_unpacked_sets(monkeypatch):
    monkeypatch.delenv("CFMODEL_DATA_DIR", raising=False)


@pytest.fixture
def published(monkeypatch):
    """Publish an archive under a name, with or without a digest known beforehand."""

    def publish(name, content, *, known=True):
        member = downloads.PUBLIC_SETS[name].member
        md5 = hashlib.md5(content).hexdigest()
        monkeypatch.setitem(downloads.PUBLIC_SETS, name, downloads.PublicSet(member, md5 if known else None))

    return publish


class Quiet(SimpleHTTPRequestHandler):
    failures: ClassVar[list[int]] = []

    def do_GET(self):
        if not self.failures:
            super().do_GET()
        elif failure := self.failures.pop():
            self.send_error(failure)
        else:
            self.connection.close()  # in the middle of an answer

    def log_message(self, *args):
        pass


@pytest.fixture
def site(tmp_path, monkeypatch):
    """Serve a folder on the loopback in place of the publisher's site."""
    folder = tmp_path / "site"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    monkeypatch.setattr(downloads, "BASE_URL", f"http://127.0.0.1:{server.server_port}/")
    yield folder
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def pauses(monkeypatch):
    """Record the pauses between tries in place of making them."""
    made = []
    monkeypatch.setattr(downloads, "time", SimpleNamespace(sleep=made.append))
    return made


@pytest.fixture
def offline(monkeypatch):
    monkeypatch.setattr(downloads, "BASE_URL", "http://127.0.0.1:9/")


def test_downloads_use_tls_only():
    assert downloads.BASE_URL.startswith("https://")


def test_every_documented_set_is_known_and_all_but_one_have_a_digest():
    promised = {"ml-100k", "ml-latest-small", "ml-1m", "ml-10m", "ml-20m", "ml-25m", "ml-32m"}
    assert set(downloads.PUBLIC_SETS) == promised
    assert {name for name, known in downloads.PUBLIC_SETS.items() if known.md5 is None} == {"ml-latest-small"}


def test_a_set_is_downloaded_checked_and_one_file_is_unpacked(site, published, tmp_path, caplog, capfd):
    published("ml-1m", ARCHIVE)
    (site / "ml-1m.zip").write_bytes(ARCHIVE)
    with caplog.at_level(logging.INFO):
        ref = ingest("ml-1m", IngestSettings(), folder=tmp_path / "data")
    assert ref.rows == 2
    folder = tmp_path / "data" / "downloads"
    kept = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert kept == {"ml-1m.zip", "ml-1m/ratings.dat"}
    assert not list(tmp_path.rglob("evil.txt"))
    assert capfd.readouterr() == ("", "")


def test_a_set_is_downloaded_once(site, published, tmp_path):
    published("ml-1m", ARCHIVE)
    (site / "ml-1m.zip").write_bytes(ARCHIVE)
    first = downloads.download_set("ml-1m", folder=tmp_path / "downloads")
    (site / "ml-1m.zip").unlink()
    (tmp_path / "downloads" / "ml-1m.zip").unlink()
    assert downloads.download_set("ml-1m", folder=tmp_path / "downloads") == first


@pytest.mark.parametrize("line", ["MD5 (ml-latest-small.zip) = {}\n", "{}  ml-latest-small.zip\n"])
def test_a_set_that_changes_over_time_is_checked_by_the_digest_published_beside_it(line, site, tmp_path):
    archive = zipped(**{"ml-latest-small__ratings.csv": b"1,2,3\n"})
    (site / "ml-latest-small.zip").write_bytes(archive)
    (site / "ml-latest-small.zip.md5").write_text(line.format(hashlib.md5(archive).hexdigest()))
    assert downloads.download_set("ml-latest-small", folder=tmp_path / "downloads").read_bytes() == b"1,2,3\n"


def test_an_archive_that_is_not_the_published_one_is_refused_and_not_kept(site, published, tmp_path):
    published("ml-1m", ARCHIVE)
    (site / "ml-1m.zip").write_bytes(ARCHIVE + b"x")
    with pytest.raises(DataError, match="not the published archive"):
        downloads.download_set("ml-1m", folder=tmp_path / "downloads")
    assert list((tmp_path / "downloads").glob("*")) == []


@pytest.mark.parametrize("failures", [[503], [0], [429, 0]])
@pytest.mark.parametrize("known", [True, False])
def test_a_temporary_failure_is_retried(failures, known, site, published, tmp_path, pauses, monkeypatch):
    monkeypatch.setattr(Quiet, "failures", failures.copy())
    published("ml-1m", ARCHIVE, known=known)
    (site / "ml-1m.zip").write_bytes(ARCHIVE)
    (site / "ml-1m.zip.md5").write_text(f"{hashlib.md5(ARCHIVE).hexdigest()}  ml-1m.zip\n")
    assert downloads.download_set("ml-1m", folder=tmp_path / "downloads").read_bytes() == RATINGS
    assert pauses == [1, 2][: len(failures)]


def test_a_permanent_failure_is_not_retried(site, tmp_path, pauses):
    with pytest.raises(DataError, match=r"ml-1m cannot be downloaded from .*404 Client Error"):
        downloads.download_set("ml-1m", folder=tmp_path / "downloads")
    assert pauses == []


@pytest.mark.parametrize("name", ["ml-100k", "ml-latest-small"])
def test_without_a_network_one_sentence_says_what_to_do(name, offline, tmp_path, caplog, capfd, pauses):
    with caplog.at_level(logging.DEBUG, "pooch"), pytest.raises(DataError) as refusal:
        ingest(name, IngestSettings(), folder=tmp_path)
    message = str(refusal.value)
    assert message == (
        f"{name} cannot be downloaded from http://127.0.0.1:9/{name}.zip (no connection); put the archive at "
        f"{tmp_path.resolve()}/downloads/{name}.zip yourself, or use the source `synthetic`, which works offline"
    )
    assert refusal.value.__cause__ is None
    assert refusal.value.__suppress_context__
    assert capfd.readouterr() == ("", "")
    assert sum(pauses) <= 3


def test_an_archive_that_the_user_put_there_is_used(offline, published, tmp_path):
    published("ml-1m", ARCHIVE)
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / "ml-1m.zip").write_bytes(ARCHIVE)
    assert ingest("ml-1m", IngestSettings(), folder=tmp_path).rows == 2


def test_a_wrong_archive_that_the_user_put_there_is_refused_and_kept(offline, published, tmp_path):
    published("ml-1m", ARCHIVE)
    archive = tmp_path / "ml-1m.zip"
    archive.write_bytes(b"something else")
    with pytest.raises(DataError, match=r"ml-1m.zip: is not the published archive \(MD5 "):
        downloads.download_set("ml-1m", folder=tmp_path)
    assert archive.read_bytes() == b"something else"


@pytest.mark.parametrize(
    ("content", "message"),
    [(zipped(other=b"x"), "holds no ml-1m/ratings.dat"), (b"no archive", "is a damaged archive")],
)
def test_an_archive_without_the_ratings_is_refused(content, message, published, tmp_path):
    published("ml-1m", content)
    (tmp_path / "ml-1m.zip").write_bytes(content)
    with pytest.raises(DataError, match=message):
        downloads.download_set("ml-1m", folder=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["ml-1m.zip"]


def test_a_link_in_an_archive_is_not_followed(published, tmp_path):
    link = zipfile.ZipInfo("ml-1m/ratings.dat")
    link.external_attr = 0o120777 << 16
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(link, "/etc/passwd")
    published("ml-1m", buffer.getvalue())
    (tmp_path / "ml-1m.zip").write_bytes(buffer.getvalue())
    with pytest.raises(DataError, match=r"its ml-1m/ratings.dat is a link"):
        downloads.download_set("ml-1m", folder=tmp_path)
    assert not (tmp_path / "ml-1m").exists()


@pytest.mark.parametrize("at", range(0, 400, 7))
def test_a_damaged_archive_is_refused_or_gives_its_file(at, published, tmp_path):
    broken = bytearray(ARCHIVE)
    broken[at % len(broken)] ^= 0xFF
    published("ml-1m", bytes(broken))
    (tmp_path / "ml-1m.zip").write_bytes(broken)
    try:
        assert downloads.download_set("ml-1m", folder=tmp_path).read_bytes() == RATINGS
    except DataError as refusal:
        assert "ml-1m.zip" in str(refusal)  # noqa: PT017 - either may be right


def test_an_archive_that_unpacks_to_too_much_is_refused(published, tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "_MOST_BYTES", 10)
    published("ml-1m", ARCHIVE)
    (tmp_path / "ml-1m.zip").write_bytes(ARCHIVE)
    with pytest.raises(DataError, match="unpacks to more than 10 bytes"):
        downloads.download_set("ml-1m", folder=tmp_path)
    assert not (tmp_path / "ml-1m").exists()


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("ml-100k", "ml-100k/u.data"),
        ("ml-1m", "ml-1m/ratings.dat"),
        ("ml-10m", "ml-10M100K/ratings.dat"),
        ("ml-10m", "ml-10m/ratings.dat"),
    ],
)
def test_an_unpacked_set_needs_no_network(name, file, offline, tmp_path, monkeypatch):
    path = tmp_path / "sets" / file
    path.parent.mkdir(parents=True)
    path.write_text("1\t2\t3\t4\n")
    monkeypatch.setenv("CFMODEL_DATA_DIR", str(tmp_path / "sets"))
    assert ingest(name, IngestSettings(), folder=tmp_path).rows == 1


def test_a_folder_with_a_sets_name_but_without_its_ratings_is_not_used(offline, tmp_path, monkeypatch):
    (tmp_path / "sets" / "ml-1m").mkdir(parents=True)
    (tmp_path / "sets" / "ml-1m" / "movies.csv").write_text("1,2,3\n")
    monkeypatch.setenv("CFMODEL_DATA_DIR", str(tmp_path / "sets"))
    with pytest.raises(DataError, match="ml-1m cannot be downloaded"):
        ingest("ml-1m", IngestSettings(), folder=tmp_path)
