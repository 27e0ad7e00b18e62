"""Kinds of files that are not read: each is named, with the way to turn it into one that is."""

import re
from collections.abc import Sequence

from cfmodel.errors import DataError

_OPEN = "open it and save the sheet as CSV UTF-8"
_UNPACK = "unpack it and give the ratings file"
_CELLS = "in Python, pandas.DataFrame(...).to_parquet('ratings.parquet')"
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
    b"\x89HDF\r\n\x1a\n": "is an HDF5 file; in Python, pandas.read_hdf(FILE).to_parquet('ratings.parquet')",
    b"\x93NUMPY": f"is a numpy array; {_CELLS}",
    b"\x80\x02": f"is a Python pickle; {_CELLS}",
    b"\x80\x03": f"is a Python pickle; {_CELLS}",
    b"\x80\x04": f"is a Python pickle; {_CELLS}",
    b"\x80\x05": f"is a Python pickle; {_CELLS}",
    b"ARROW1": "is an Arrow (Feather) file; in Python, pandas.read_feather(FILE).to_parquet('ratings.parquet')",
    b"FEA1": "is a Feather file; in Python, pandas.read_feather(FILE).to_parquet('ratings.parquet')",
    b"ORC": "is an ORC file; in Python, pandas.read_orc(FILE).to_parquet('ratings.parquet')",
    b"Obj\x01": "is an Avro file; write it as Parquet, JSON lines or CSV",
    b"RDX": "is saved by R; in R, load(FILE), then write.csv(ratings, 'ratings.csv', row.names = FALSE)",
    b"X\n\0\0\0": "is saved by R; in R, write.csv(readRDS(FILE), 'ratings.csv', row.names = FALSE)",
    b"MATLAB 5": "is a MATLAB file; in MATLAB, writematrix(ratings, 'ratings.csv')",
    b"<stata_dta>": "is a Stata file; in Python, pandas.read_stata(FILE).to_parquet('ratings.parquet')",
    b"$FL2": "is an SPSS file; in Python, pandas.read_spss(FILE).to_parquet('ratings.parquet')",
    b"\0\1\0\0Standard": "is an Access database; export the table as a text file with separators",
    b"SEQ\x06": "is a Hadoop sequence file; write it as Parquet, JSON lines or CSV",
    b"\x78\x9c": "is compressed with zlib (.deflate); decompress it or use gzip or zstd",
    b"%PDF": "is a PDF; give the ratings as CSV",
}
#: What only a zip archive of that kind holds.
_ZIPPED = {
    b"xl/": f"is an Excel workbook; {_OPEN}",
    b"opendocument.spreadsheet": f"is an OpenDocument spreadsheet; {_OPEN}",
    b"Index/Document.iwa": f"is a Numbers spreadsheet; {_OPEN}",
    b"collection.anki": "is an Anki package: one person's cards, no ratings of movies by many users; give another file",
}
#: How the first line of a text begins, in lower case, and what the text is, with a remedy.
_TEXTS = {
    r"<!doctype html|<html": "is a web page, perhaps in place of a download that failed; download the ratings again",
    r"<\?xml|<[a-z][\w:-]*(\s[^<>]*)?>\s*<": "is XML; write it as CSV, one row for each rating",
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
_LIBSVM = re.compile(r"[+-]?[\d.]+(\s+\d+:[+-]?[\d.]+)+\s*")


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
    filled = [line.strip() for line in lines if line.strip()][:20]
    text = "\n".join(filled)
    found = next((what for start, what in _TEXTS.items() if re.match(start, text, re.IGNORECASE)), None)
    if all(_LIBSVM.fullmatch(line) for line in filled):
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
