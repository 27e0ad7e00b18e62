"""Text encodings: detect them, and convert blocks of text to UTF-8 with line feeds as line ends."""

import codecs
from collections.abc import Iterator

from cfmodel.errors import DataError

#: Byte order marks. UTF-32 comes first: its mark begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def detect_encoding(block: bytes, wanted: str | None) -> tuple[str, int] | None:
    """Return the encoding of text from its first block, and the length of its byte order mark.

    A byte order mark decides. Without one the text is UTF-16 if every other byte is zero, else UTF-8
    if it is valid UTF-8, else Latin-1, in which every byte is a character.

    Args:
        block: The first bytes.
        wanted: The encoding that the caller gives; None: detect it.

    Returns:
        Encoding and length of the mark in bytes; None if the bytes are not text.
    """
    for mark, name in _MARKS:
        if block.startswith(mark) and (wanted is None or name.startswith(wanted)):
            return name, len(mark)
    if wanted is not None:
        return ("utf-16-le" if wanted == "utf-16" else wanted), 0
    if b"\0" in block:
        return _without_mark(block[:4096])
    return ("utf-8" if _is_utf8(block) else "latin-1"), 0


def as_utf8(blocks: Iterator[bytes], encoding: str, *, file: str) -> Iterator[bytes]:
    """Yield the blocks as UTF-8 with line feeds as line ends.

    UTF-8 is not checked here: the parsers report invalid bytes row by row.

    Raises:
        DataError: The bytes are not valid in that encoding.
    """
    yield from _one_line_end(blocks if encoding == "utf-8" else _transcoded(blocks, encoding, file))


def _without_mark(block: bytes) -> tuple[str, int] | None:
    even, odd = block[0::2].count(0), block[1::2].count(0)
    half = len(block) // 2
    if len(block) % 2:
        return None
    if odd > 0.4 * half > 10 * even:
        return "utf-16-le", 0
    return ("utf-16-be", 0) if even > 0.4 * half > 10 * odd else None


def _is_utf8(block: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(block)  # the last character may be cut
    except UnicodeDecodeError:
        return False
    return True


def _transcoded(blocks: Iterator[bytes], encoding: str, file: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        for block in blocks:
            yield decoder.decode(block).encode()
        yield decoder.decode(b"", final=True).encode()
    except UnicodeError as error:
        reason = getattr(error, "reason", error)
        raise DataError(
            f"{file}: is not {encoding} throughout ({reason}); set ingest.encoding, or save it as UTF-8"
        ) from None


def _one_line_end(blocks: Iterator[bytes]) -> Iterator[bytes]:
    held = b""
    for block in blocks:
        whole = held + block
        # The line feed of this carriage return may be the first byte of the next block.
        held = b"\r" if whole.endswith(b"\r") else b""
        whole = whole.removesuffix(b"\r")
        yield whole.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in whole else whole
    if held:
        yield b"\n"
