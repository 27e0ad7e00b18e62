"""Text encodings: detect them, and convert blocks of text to UTF-8 with line feeds as line ends."""

import codecs
import re
from collections.abc import Iterator, Sequence
from itertools import chain

from cfmodel.errors import DataError

#: Byte order marks. UTF-32 comes first: its mark begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
#: Bytes that are control characters in Latin-1 and signs in Windows-1252, and those that are none there.
_NOT_WINDOWS = b"\x81\x8d\x8f\x90\x9d"
_WINDOWS = bytes(code for code in range(0x80, 0xA0) if code not in _NOT_WINDOWS)
#: A word with four letters or signs beyond ASCII in a row.
_NOT_WESTERN = re.compile(r"[^\s\x00-\x7f]{4}[^\s,;|\"]*")
#: Bytes that text does not hold, or hardly ever.
_CONTROLS = bytes(code for code in range(32) if code not in b"\t\n\r\x01\x1f")
#: Ends of a block that may belong to the first bytes of the next.
_UNFINISHED = (b"\r", codecs.BOM_UTF8[:2], codecs.BOM_UTF8[:1])


def detect_encoding(block: bytes, wanted: str | None) -> tuple[str, int] | None:
    """Return the encoding of text from its first block, and the length of its byte order mark.

    A byte order mark decides. Without one the text is UTF-16 if every other byte is zero, else UTF-8
    if it is valid UTF-8, else Latin-1, in which every byte is a character, or Windows-1252 if it has the
    quotes and dashes that only that has.

    Returns:
        Encoding, `wanted` if the caller gives it, and length of the mark in bytes; None if the bytes are not text.
    """
    for mark, name in _MARKS:
        if block.startswith(mark) and (wanted is None or name.startswith(wanted)):
            return name, len(mark)
    if wanted is not None:
        return ("utf-16-le" if wanted == "utf-16" else wanted), 0
    if b"\0" in block:
        if (found := _without_mark(block[:4096])) is not None:
            return found
        # Zeros here and there, or at the end, are damage to a row of text; binary data are full of control characters.
        block = block.rstrip(b"\0")
        if len(block.translate(None, _CONTROLS)) < 0.9 * len(block) or not (b"\n" in block or b"\r" in block):
            return None
    if _is_utf8(block):
        return "utf-8", 0
    only_windows = len(block.translate(None, _WINDOWS)) < len(block) == len(block.translate(None, _NOT_WINDOWS))
    return ("windows-1252" if only_windows else "latin-1"), 0


def doubt_of_encoding(encoding: str, lines: Sequence[str]) -> tuple[str, ...]:
    """Return a warning if text in a guessed encoding of western languages is hardly in one of these."""
    if encoding not in ("latin-1", "windows-1252"):
        return ()
    word = next((found[0] for line in lines if (found := _NOT_WESTERN.search(line))), None)
    if word is None:
        return ()
    return (
        f"the file is not UTF-8, so it is read as {encoding}, as which it holds {word[:40]!r}; if that is no word, "
        f"give its encoding: --set ingest.encoding=windows-1251, or shift_jis, gb18030, euc-kr, big5",
    )


def as_utf8(blocks: Iterator[bytes], encoding: str, *, file: str) -> Iterator[bytes]:
    """Yield the blocks as UTF-8 with line feeds as line ends, without the byte order marks of files that were joined.

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
            f"{file}: is not {encoding} throughout ({reason}); set ingest.encoding to another, or write it as UTF-8"
        ) from None


def _one_line_end(blocks: Iterator[bytes]) -> Iterator[bytes]:
    held, begins = b"", True
    for block in chain(blocks, (b"",)):
        whole = held + block
        # The line feed of a carriage return, or the rest of a mark, may begin the next block.
        held = next((end for end in _UNFINISHED if block and whole.endswith(end)), b"")
        text = whole[: len(whole) - len(held)] if held else whole
        if b"\r" in text:
            text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if not text.isascii():
            text = text.replace(b"\n" + codecs.BOM_UTF8, b"\n")
            text, begins = text.removeprefix(codecs.BOM_UTF8) if begins else text, False
        if text:
            begins = text.endswith(b"\n")
            yield text
