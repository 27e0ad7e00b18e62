"""Public data sets: download an archive once, check its digest and unpack the ratings file."""

import errno
import lzma
import re
import stat
import time
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from logging import CRITICAL
from pathlib import Path, PurePosixPath
from typing import IO

import pooch
import requests

from cfmodel.errors import DataError
from cfmodel.system import atomic

#: Where GroupLens publishes its archives, each with an MD5 file. Only TLS is used; redirects are refused.
BASE_URL = "https://files.grouplens.org/datasets/movielens/"

_TIMEOUT_SECONDS = 30
#: Pauses before a failed download is retried. They are short, so that a missing network is reported in seconds.
_PAUSES_SECONDS = (1, 2)
_MOST_BYTES = 4 * 1024**3
_BLOCK_BYTES = 1024 * 1024
#: What `zipfile` raises for an archive that is truncated, encrypted, or compressed in an unknown way.
_DAMAGED = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError, ValueError)


@dataclass(frozen=True)
class PublicSet:
    """A published archive.

    Attributes:
        member: The file with the ratings, inside the archive.
        md5: The archive's published MD5; None if the archive changes over time, so that the current MD5
            is downloaded with it.
    """

    member: str
    md5: str | None


PUBLIC_SETS = {
    "ml-100k": PublicSet("ml-100k/u.data", "0e33842e24a9c977be4e0107933c0723"),
    "ml-latest-small": PublicSet("ml-latest-small/ratings.csv", None),
    "ml-1m": PublicSet("ml-1m/ratings.dat", "c4d9eecfca2ab87c1945afe126590906"),
    "ml-10m": PublicSet("ml-10M100K/ratings.dat", "ce571fd55effeba0271552578f2648bd"),
    "ml-20m": PublicSet("ml-20m/ratings.csv", "cd245b17a1ae2cc31bb14903e1204af3"),
    "ml-25m": PublicSet("ml-25m/ratings.csv", "6b51fb2759a8657d3bfcbfc42b592ada"),
    "ml-32m": PublicSet("ml-32m/ratings.csv", "d472be332d4daa821edc399621853b57"),
}


def download_set(name: str, *, folder: Path) -> Path:
    """Return the ratings file of a public data set; download and unpack it if needed.

    If `folder/<name>.zip` exists, it is used instead of a download. Its MD5 is checked as well, except
    for `ml-latest-small`, which changes over time.

    Args:
        name: One of `PUBLIC_SETS`.

    Raises:
        DataError: There is no network, the archive is not the published one, or it lacks the file.
    """
    wanted = PUBLIC_SETS[name]
    unpacked = folder / name / PurePosixPath(wanted.member).name
    if unpacked.is_file():
        return unpacked
    archive = folder / f"{name}.zip"
    if archive.exists():
        _check_md5(archive, wanted.md5)
    else:
        _download(name, archive, wanted.md5)
    with atomic.folder(folder / name) as temporary:
        _unpack(archive, wanted.member, temporary / unpacked.name)
    return unpacked


def _download(name: str, archive: Path, md5: str | None) -> None:
    url = f"{BASE_URL}{archive.name}"
    try:
        _download_with_retries(url, archive, md5)
    except (requests.RequestException, OSError) as error:
        raise DataError(
            f"{name} cannot be downloaded from {url} ({_reason(error)}); put the archive at {archive.resolve()} "
            f"yourself, or use the source `synthetic`, which works offline"
        ) from None
    except ValueError:
        raise DataError(
            f"{url}: the download is not the published archive (its MD5 differs); retry later, or put the archive "
            f"at {archive.resolve()} yourself"
        ) from None


def _download_with_retries(url: str, archive: Path, md5: str | None) -> None:
    """Download an archive; retry after a pause if the failure may be temporary."""
    for pause in (*_PAUSES_SECONDS, None):
        try:
            _download_once(url, archive, md5)
            return
        except requests.RequestException as error:
            if pause is None or not _is_temporary(error):
                raise
            time.sleep(pause)


def _download_once(url: str, archive: Path, md5: str | None) -> None:
    # A redirect could lead away from TLS.
    downloader = pooch.HTTPDownloader(progressbar=False, timeout=_TIMEOUT_SECONDS, allow_redirects=False)
    known = f"md5:{md5 or _published_md5(url)}"
    with _quiet_pooch():
        pooch.retrieve(url, known, fname=archive.name, path=archive.parent, downloader=downloader)


def _is_temporary(error: requests.RequestException) -> bool:
    """Return whether a retry may help; a timeout is not retried, since it already took long."""
    if isinstance(error, requests.HTTPError):
        return error.response is not None and error.response.status_code in (429, 500, 502, 503, 504)
    if isinstance(error, requests.Timeout | requests.exceptions.SSLError):
        return False
    return isinstance(error, requests.ConnectionError | requests.exceptions.ChunkedEncodingError)


def _published_md5(url: str) -> str:
    """Download the published MD5 of an archive: `MD5 (name) = digest` or `digest  name`."""
    answer = requests.get(f"{url}.md5", timeout=_TIMEOUT_SECONDS, allow_redirects=False)
    answer.raise_for_status()
    digest = next(iter(re.findall(r"\b[0-9a-f]{32}\b", answer.text[:1000].lower())), "")
    if not digest:
        raise requests.RequestException(f"{url}.md5 holds no MD5")
    return digest


def _check_md5(archive: Path, md5: str | None) -> None:
    found = pooch.file_hash(str(archive), alg="md5")
    if md5 is not None and found != md5:
        raise DataError(
            f"{archive}: is not the published archive (MD5 {found}, published {md5}); "
            f"remove it to download it again, or replace it with the published one"
        )


def _unpack(archive: Path, member: str, target: Path) -> None:
    """Copy one member of an archive to a file; paths in the archive are never used."""
    try:
        with zipfile.ZipFile(archive) as zipped:
            if stat.S_ISLNK(zipped.getinfo(member).external_attr >> 16):
                raise DataError(f"{archive}: its {member} is a link; replace it with the published archive")
            with zipped.open(member) as source, target.open("wb") as file:
                _copy(source, file, archive)
    except KeyError:
        raise DataError(f"{archive}: holds no {member}; replace it with the published archive") from None
    except (*_DAMAGED, OSError) as error:
        # EINVAL is an impossible offset in the archive; other errors are the disk's.
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise
        raise DataError(f"{archive}: is a damaged archive ({error}); remove it to download it again") from None


def _copy(source: IO[bytes], target: IO[bytes], archive: Path) -> None:
    """Copy with a limit on the bytes written, since the sizes in an archive may be wrong."""
    left = _MOST_BYTES
    while block := source.read(_BLOCK_BYTES):
        left -= len(block)
        if left < 0:
            raise DataError(
                f"{archive}: unpacks to more than {_MOST_BYTES:,} bytes, so it is not a published set; remove it to "
                "download that"
            )
        target.write(block)


def _reason(error: Exception) -> str:
    # An SSLError is also a ConnectionError, so the order matters.
    if isinstance(error, requests.exceptions.SSLError):
        return "its TLS certificate is not accepted"
    if isinstance(error, requests.exceptions.Timeout):
        return f"no answer in {_TIMEOUT_SECONDS} seconds"
    if isinstance(error, requests.exceptions.ConnectionError):
        return "no connection"
    return str(error).splitlines()[0] if str(error) else type(error).__name__


@contextmanager
def _quiet_pooch() -> Iterator[None]:
    """Silence pooch's own messages."""
    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel(CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
