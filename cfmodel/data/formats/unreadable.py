"""Kinds of files that are not read: each is named, with the way to turn it into one that is."""

import re
from collections.abc import Sequence

from cfmodel.errors import DataError

_OPEN = "open it and save the sheet as CSV UTF-8"
_UNPACK = "unpack it and give the ratings file"
_PANDAS = "write it as Parquet: in Python, pandas.{}.to_parquet('ratings.parquet')"
_CELLS = _PANDAS.format("DataFrame(...)")
_IN_R = "write it as CSV: in R, write.csv({}, 'ratings.csv', row.names = FALSE)"
#: First bytes of a file, and what it is, with a remedy.
_MAGIC = {
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": f"is an old Excel workbook (.xls); {_OPEN}",
    b"BZh": "is compressed with bzip2; decompress it or use gzip or zstd",
    b"\xfd7zXZ": "is compressed with xz; decompress it or use gzip or zstd",
    b"\x04\x22\x4d\x18": "is compressed with lz4; decompress it or use gzip or zstd",
    b"\x1f\x9d": "is compressed with compress (.Z); decompress it or use gzip or zstd",
    b"7z\xbc\xaf\x27\x1c": f"is a 7-Zip archive; {_UNPACK}",
    b"Rar!": f"is a RAR archive; {_UNPACK}",
    b"SQLite format 3\0": (
        "is an SQLite database; write the table as CSV: sqlite3 -csv -header FILE 'select * from TABLE' > ratings.csv"
    ),
    b"\x89HDF\r\n\x1a\n": f"is an HDF5 file; {_PANDAS.format('read_hdf(FILE)')}",
    b"\x93NUMPY": f"is a numpy array; {_CELLS}",
    b"\x80\x02": f"is a Python pickle; {_CELLS}",
    b"\x80\x03": f"is a Python pickle; {_CELLS}",
    b"\x80\x04": f"is a Python pickle; {_CELLS}",
    b"\x80\x05": f"is a Python pickle; {_CELLS}",
    b"ARROW1": f"is an Arrow (Feather) file; {_PANDAS.format('read_feather(FILE)')}",
    b"FEA1": f"is a Feather file; {_PANDAS.format('read_feather(FILE)')}",
    b"ORC": f"is an ORC file; {_PANDAS.format('read_orc(FILE)')}",
    b"Obj\x01": "is an Avro file; write it as Parquet, JSON lines or CSV",
    b"RDX": f"is saved by R; load(FILE), and {_IN_R.format('RATINGS')}",
    b"X\n\0\0\0": f"is saved by R; {_IN_R.format('readRDS(FILE)')}",
    b"MATLAB 5": "is a MATLAB file; write it as CSV: in MATLAB, writematrix(ratings, 'ratings.csv')",
    b"<stata_dta>": f"is a Stata file; {_PANDAS.format('read_stata(FILE)')}",
    b"$FL2": f"is an SPSS file; {_PANDAS.format('read_spss(FILE)')}",
    b"\0\1\0\0Standard": "is an Access database; export the table as a text file with separators",
    b"SEQ\x06": "is a Hadoop sequence file; write it as Parquet, JSON lines or CSV",
    b"\x78\x9c": "is compressed with zlib (.deflate); decompress it or use gzip or zstd",
    b"%PDF": "is a PDF; give the ratings as CSV",
}
#: What only a zip archive of that kind holds.
_ZIPPED = {
    b"xl/": f"is an Excel workbook; {_OPEN}",
    b"content.xml": f"is an OpenDocument spreadsheet; {_OPEN}",
    b"Index/Document.iwa": f"is a Numbers spreadsheet; {_OPEN}",
    b"collection.anki": "is an Anki package: one person's cards, no ratings of movies by many users; give another file",
}
#: How the first line of a text begins, in lower case, and what the text is, with a remedy.
_TEXTS = {
    r"<!doctype html|<html": (
        f"is a web page (HTML); if it shows the table, {_OPEN}; if a download failed, download the ratings again"
    ),
    r"\([^()]+\)\s*(\n\(|$)": "holds rows in brackets, as Python's tuples; remove the brackets and the quotes",
    r"\S+\s+(\S+\s+)*\|\w+ \S+": (
        "is in Vowpal Wabbit's format; write a row for each rating: user, movie, rating, separated by commas"
    ),
    r"<\?xml|<[a-z][\w:-]*(\s[^<>]*)?>\s*<": "is XML; write it as CSV, one row for each rating",
    r"\{[^\n]*\b(NumberLong|NumberInt|NumberDecimal|ObjectId|ISODate)\(": (
        "is what MongoDB's shell prints, and no JSON; write it with mongoexport"
    ),
    r"@relation": "is a Weka file (ARFF); remove the lines to @data, and write the columns' names there, as in CSV",
    r"version https://git-lfs": "is a Git LFS pointer, not the file itself; fetch the file with git lfs pull",
    r"(--\s|/\*|begin transaction|pragma |insert into |create table |drop table |copy \S+ .*from stdin)": (
        "is an SQL dump; load it into a database, and write the table as CSV (sqlite3 -csv -header, psql's "
        "\\copy TABLE to 'ratings.csv' csv header, or mysql --batch)"
    ),
    r"\[\s*(\[|[\"\d-])": (
        "holds rows that are JSON lists; write each as an object with names, one per line (JSON lines)"
    ),
    r"\[?\s*\{\s*u?'": (
        "is in Python's notation, not JSON; turn it into JSON lines: "
        "python -c 'import ast, json, sys; [print(json.dumps(ast.literal_eval(row))) for row in sys.stdin]' "
        "< FILE > ratings.jsonl"
    ),
}
_LIBSVM = re.compile(r"[+-]?[\d.]+(\s+\d+:[+-]?[\d.]+){1,2}(\s|$)")
#: A longer line is cut, so that no pattern takes long.
_MOST_CHARACTERS = 1_000


def _is_judgement(row: Sequence[str]) -> bool:
    """Return whether a row is TREC's: query, 0, document and a small number; or query, Q0 and four others."""
    if len(row) == 4 and row[1] == "0":
        return re.fullmatch(r"-?\d{1,2}", row[3]) is not None
    return len(row) == 6 and row[1] == "Q0"


def refuse_archive(file: str, block: bytes) -> None:
    """Refuse what the first bytes show to be no text and not Parquet.

    Raises:
        DataError: It is an archive, a spreadsheet, a database or the like; with what to do.
    """
    found = next((what for start, what in _MAGIC.items() if block.startswith(start)), None)
    if block.startswith(b"PK\x03\x04"):
        found = next((what for part, what in _ZIPPED.items() if part in block), f"is a zip archive; {_UNPACK}")
    if block[257:262] == b"ustar":
        found = f"is a tar archive; {_UNPACK}"
    if found is not None:
        raise DataError(f"{file}: {found}")


def refuse_text(file: str, lines: Sequence[str]) -> None:
    """Refuse text that holds no table: markup, SQL, Python's notation, vectors of features.

    Raises:
        DataError: It is such a text; with what to do.
    """
    filled = [line.strip()[:_MOST_CHARACTERS] for line in lines if line.strip()][:20]
    text = "\n".join(filled)
    found = next((what for start, what in _TEXTS.items() if re.match(start, text, re.IGNORECASE)), None)
    if all(_LIBSVM.match(line) for line in filled):
        found = (
            "is in the format of libsvm and libFM (a number, then index:value); write a row for each rating: user, "
            "movie, rating, with the index of the user and of the movie as their ids"
        )
    cells = [line.split() for line in filled]
    if all(map(_is_judgement, cells)) and len(filled) > 1:
        found = (
            "is in TREC's format: the second column is the same in every row; write a row for each rating: user, "
            "movie, rating"
        )
    if found is not None:
        raise DataError(f"{file}: {found}")
