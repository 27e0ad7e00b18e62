"""Plain, gzip and zstd files, read block by block with a limit on their decompressed size."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal, Self

import pyarrow as pa

from cfmodel.errors import DataError

Compression = Literal["gzip", "zstd"] | None

BLOCK_BYTES = 4 * 1024 * 1024
#: A file of over 1 GiB, decompressed, that is more than 200 times its compressed size is a decompression bomb.
_MOST_TIMES, _FROM_BYTES = 200, 1024**3


class CompressedFile:
    """An open file that is decompressed while it is read.

    Raises:
        DataError: The file cannot be opened, is damaged, or is a decompression bomb.
    """

    def __init__(self, path: Path, compression: Compression) -> None:
        self._path = path
        self._compression = compression
        try:
            self._raw = _CountingFile(path.open("rb"))
            self._size = max(path.stat().st_size, 1)
        except OSError as error:
            reason = error.strerror or str(error)
            raise DataError(f"{path}: cannot be read ({reason}); check the path and its permissions") from None
        stream = pa.PythonFile(self._raw, mode="r")
        self._stream = pa.CompressedInputStream(stream, compression) if compression else stream
        self._decompressed = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._raw.file.close()

    @property
    def share(self) -> float:
        """Share of the file read so far, in [0, 1]."""
        return min(self._raw.bytes / self._size, 1.0)

    def read(self, size: int) -> bytes:
        """Return the next bytes, at most `size`; none at the end of the file."""
        try:
            block: bytes = self._stream.read(size)
        except (OSError, pa.ArrowException) as error:
            kind = f"damaged {self._compression}" if self._compression else "cannot be read"
            message = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise DataError(f"{self._path.name}: is {kind} ({message}); download or compress it again") from None
        self._decompressed += len(block)
        if self._decompressed > max(_FROM_BYTES, _MOST_TIMES * self._raw.bytes):
            raise DataError(
                f"{self._path.name}: decompresses to more than {_MOST_TIMES} times its size; if that is right, "
                f"decompress it and give the decompressed file"
            )
        return block

    def blocks(self) -> Iterator[bytes]:
        """Yield the decompressed bytes block by block."""
        while block := self.read(BLOCK_BYTES):
            yield block


class _CountingFile(io.RawIOBase):
    """A file that counts the bytes read from it."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.bytes = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        block = self.file.read(size)
        self.bytes += len(block)
        return block
