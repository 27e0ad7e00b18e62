"""Variants of text written by hand: what known programs and sites export, with ratings made up for it."""

import gzip
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np
from real_files_variant import HEAD, LINE, Record, Row, Variant, made, newest, zipped

#: What a reading says of a file without a header: which column was taken for what.
_SAYS_ORDER = r"(?is)columns? \d\W{1,3}(user|movie|rating)\b.{0,15}\b\d\W{1,3}(user|movie|rating)\b"


def export_variants(rng: np.random.Generator) -> Iterator[Variant]:
    """Yield the variants of delimited text."""
    written = (_sites, _databases, _spreadsheets, _programs, _headers, _wide, _lines)
    for kind in (*written, _numbers, _moments, _ids, _unrated, _bad_rows):
        yield from kind(rng)


def _whole(rng: np.random.Generator) -> float:
    return float(rng.integers(1, 6))


def _half(rng: np.random.Generator) -> float:
    return float(rng.integers(1, 10)) + 0.5


def _by_position(variant: Variant) -> list[Row]:
    """Return the ratings of a file without a header if its columns are user, movie, rating and seconds."""
    lines = [re.split(r"[,\t|]", line) for line in variant.files["ratings.csv"].decode().splitlines()]
    return newest((u, m, float(r), round(float(t[0]) * 1e9) if t else None) for u, m, r, *t in lines)


def _sites(rng: np.random.Generator) -> Iterator[Variant]:
    make = partial(made, rng, "sites and data sets")
    orders = {
        "movie first, comma": "<m>,<u>,<r>,<s>",
        "movie first, tab": "<m>\t<u>\t<r>\t<s>",
        "movie first, bar": "<m>|<u>|<r>",
        "rating first": "<r>,<u>,<m>",
        "a number first": "<i>,<u>,<m>,<r>",
    }
    for name, line in orders.items():
        plain = make(f"no header, {name}", line, rating=_half, says=_SAYS_ORDER, must_say=True)
        yield replace(plain, literal=_by_position(plain))
    yield make("no header, a name beside each id", "<u>,Ann B.,<m>,The Film,<r>")
    one = {"refuse": "(?i)user"}
    head = "Date,Name,Year,Letterboxd URI,Rating"
    yield make("Letterboxd's diary", "<%Y-%m-%d>,Film <m>,2001,https://boxd.it/<m>,<r>", head, **one)
    head = "Const,Your Rating,Date Rated,Title,URL,Title Type"
    yield make("IMDb's ratings", 'tt<m>,<r>,<%Y-%m-%d>,"Film, <m>",https://imdb.com/title/tt<m>,Movie', head, **one)
    head = "Book Id,Title,ISBN,My Rating,Average Rating,Date Read"
    yield make("Goodreads' library", '<m>,"Book, <m>","=""0439""",<r>,3.9,<%Y/%m/%d>', head, **one)
    yield make(
        "Trakt's ratings", '{"rated_at":"<%Y-%m-%dT%H:%M:%S.000Z>","rating":<r>,"movie":{"ids":{"trakt":<m>}}}', **one
    )
    line = '{"review_id":"x<i>","user_id":"<u>","business_id":"<m>","stars":<r>,"useful":0,'
    line += '"text":"Good.\\nVery, very good","date":"<%Y-%m-%d %H:%M:%S>"}'
    yield make("Yelp's reviews", line, file="yelp_academic_dataset_review.json")
    line = '{"overall":<r>,"vote":"2","reviewTime":"09 13, 2009","reviewerID":"<u>","asin":"<m>","unixReviewTime":<s>}'
    yield make("Amazon's reviews of 2018", line, file="All_Beauty.json.gz", pack=gzip.compress)
    line = '{"rating":<r>,"images":[],"asin":"<m>x","parent_asin":"<m>","user_id":"<u>","timestamp":<ms>}'
    plain = make("Amazon's reviews of 2023", line, file="All_Beauty.jsonl", says="(?s)parent_asin", must_say=True)
    yield replace(plain, literal=[(u, f"{m}x", r, t) for u, m, r, t in plain.rows or ()])
    line = "{'reviewerID': '<u>', 'asin': '<m>', 'overall': <r>, 'helpful': [0, 0]}"
    yield make("Python's dictionaries", line, refuse="(?i)json|python|quote", file="reviews.json")
    line = "product/productId: <m>\nreview/userId: <u>\nreview/score: <r>\nreview/text: fine, really\n"
    yield make("SNAP's blocks of key and value", line, file="reviews.txt")
    yield make("KDD Cup's blocks", "<u>|1\n<m>\t<r>\t5\t10:00:00", file="trainIdx1.txt")
    line = '{"user_id":"<u>","book_id":"<m>","is_read":true,"rating":<r>,"date_added":"<%a %b %d %H:%M:%S> -0000 <%Y>"}'
    known = {"timestamp_format": "%a %b %d %H:%M:%S %z %Y"}
    plain = make("Goodreads' interactions", line, knows=known, says="(?i)date_added|no (time|date)|without time")
    yield replace(plain, literal=[(u, m, r, None) for u, m, r, _ in plain.rows or ()])
    head = "user_id,recipe_id,date,rating,review"
    yield make("Food.com", '<u>,<m>,<%Y-%m-%d>,<r>,"Good.\r\nI said ""yes"", twice"', head)
    yield make("MyAnimeList", "name<u>,<u>,<m>,<r>,2", "username,user_id,anime_id,score,status")
    head = "brewery_id,review_time,review_overall,review_aroma,review_profilename,beer_beerid"
    yield make("BeerAdvocate", "7,<s>,<r>,2,<u>,<m>", head)
    yield make("Google Local", '{"user_id":"<u>","name":"Ann","time":<ms>,"rating":<r>,"text":null,"gmap_id":"<m>"}')
    yield make("Last.fm", "<u>\t<m>\t<r>", "userID\tartistID\tweight", file="user_artists.dat")
    yield make("FilmTrust", "<u> <m> <r>", file="ratings.txt")
    yield make("KONECT", "<u> <m> <r> <s>", "% bip weighted\n% 12 400 400", file="out.matrix")
    head = "user_id:token\titem_id:token\trating:float\ttimestamp:float"
    yield make("RecBole", "<u>\t<m>\t<r>\t<s>.0", head, file="x.inter")
    yield make("a header in a comment", "<u>\t<m>\t<r>\t<s>", "# user\titem\trating\ttimestamp", file="u.txt")
    head = "%%MatrixMarket matrix coordinate real general\n% made by scipy\n400 400 12"
    yield make("MatrixMarket", "<u> <m> <r>", head, file="ratings.mtx")
    yield make("LibFM", "<r> <u>:1 <m>:1", refuse=".", file="train.libfm")
    yield make("Vowpal Wabbit", "<r> |u <u> |i <m>", refuse=".", file="train.vw")
    head = "@relation r\n@attribute user_id numeric\n@attribute movie_id numeric\n@attribute rating real\n@data"
    yield make("ARFF", "<u>,<m>,<r>", head, refuse=".", file="ratings.arff")
    yield make("Steam's purchases", '<u>,"<m>",play,<r>,0', file="steam-200k.csv")
    yield make("fixed width without blanks", "00<u>0<m>0<i>", refuse=".", file="ratings.txt")


def _databases(rng: np.random.Generator) -> Iterator[Variant]:
    make = partial(made, rng, "databases")
    head = "user_id\tmovie_id\trating\tcreated_at"
    yield make("Postgres COPY", "<u>\t<m>\t<r>\t<%Y-%m-%d %H:%M:%S.%f>+00", head)
    yield make("Postgres COPY, a null column first", "\\N\t<u>\t<m>\t<r>", knows={"columns.timestamp": ""})
    head = " user_id | movie_id | rating \n---------+----------+--------"
    yield make("psql, aligned", " <u:7> | <m:8> | <r:6> ", head, foot="(12 rows)\n", file="out.txt")
    yield make("psql, unaligned", "<u>|<m>|<r>", "user_id|movie_id|rating", foot="(12 rows)", file="out.txt")
    rule = "+---------+----------+--------+"
    head = f"{rule}\n| user_id | movie_id | rating |\n{rule}"
    yield make("mysql's boxes", "| <u:7> | <m:8> | <r:6> |", head, foot=rule, file="out.txt")
    head = "| user_id | movie_id | rating |\n|---------|---------:|:------:|"
    yield make("Markdown", "| <u> | <m> | <r> |", head, file="ratings.md")
    line = "INSERT INTO `ratings` VALUES (<u>,<m>,<r>);"
    yield make("mysqldump", line, "-- MySQL dump 10.13", refuse="(?i)sql", file="dump.sql")
    yield make("mysql --batch", "<u>\t<m>\t<r>\t<%Y-%m-%d %H:%M:%S>", "user_id\tmovie_id\trating\ttimestamp")
    head = "user_id,movie_id,rating\n-------,--------,------"
    yield make("sqlcmd", "<u>,<m>,<r>", head, foot="\n(12 rows affected)", end="\r\n")
    head = "USER_ID,MOVIE_ID,RATING"
    again = f"<u>,<m>,<r>\n\n{head}"
    yield make("SQL*Plus' pages", lambda row: again if row.i == 6 else "<u>,<m>,<r>", head, foot="\n12 rows selected.")
    yield make("Hive, table's name in the header", "<u>\t<m>\t<r>\t<s>", "r.user_id\tr.movie_id\tr.rating\tr.timestamp")
    yield make("Hive's text files", "<u>\x01<m>\x01<r>\x01<s>", file="000000_0")
    yield make("BigQuery CSV", "<u>,<m>,<r>,<%Y-%m-%d %H:%M:%S> UTC", HEAD)
    yield make("BigQuery CSV, microseconds", "<u>,<m>,<r>,<%Y-%m-%d %H:%M:%S.%f> UTC", HEAD)
    line = '{"user_id":"<u>","movie_id":"<m>","rating":<r>,"timestamp":"<%Y-%m-%d %H:%M:%S> UTC"}'
    yield make("BigQuery JSON", line, file="bq-000000000000.json")
    head = '"USER_ID","MOVIE_ID","RATING","CREATED_AT"'
    line = '"<u>","<m>","<r>","<%Y-%m-%d %H:%M:%S.%L> +0000"'
    yield make("Snowflake CSV", line, head, pack=gzip.compress, file="data_0_0_0.csv.gz")
    yield make("Redshift's UNLOAD", "<u>|<m>|<r>|<%Y-%m-%d %H:%M:%S>", file="0000_part_00")
    yield make("Spark's older timestamps", "<u>,<m>,<r>,<%Y-%m-%dT%H:%M:%S.%L>+0000", HEAD)
    head = "user_id\tmovie_id\trating\nUInt64\tUInt64\tFloat32"
    yield make("ClickHouse, names and types", "<u>\t<m>\t<r>", head)
    yield make("a comma after each row", f"{LINE},", f"{HEAD},")
    yield make("a comma after each row, not the header", f"{LINE},", HEAD)
    yield make("bars before and after each row", "|<u>|<m>|<r>|", "|user_id|movie_id|rating|")
    line = '{"Item":{"user_id":{"S":"<u>"},"movie_id":{"S":"<m>"},"rating":{"N":"<r>"}}}'
    yield make("DynamoDB", line, refuse=".", file="d.json")


def _spreadsheets(rng: np.random.Generator) -> Iterator[Variant]:
    make = partial(made, rng, "spreadsheets")
    head, known = "user;movie;rating;timestamp", {"decimal": ",", "timestamp_format": "%d.%m.%Y %H:%M"}
    line = "<u>;<m>;<comma>;<%d.%m.%Y %H:%M>"
    yield make("Excel, Germany", line, head, end="\r\n", encoding="cp1252", knows=known)
    yield make("Excel, Unicode text", "<u>\t<m>\t<comma>", "user\tmovie\trating", end="\r\n", encoding="utf-16")
    yield make("sep=, and a byte order mark", LINE, f"sep=,\r\n{HEAD}", end="\r\n", encoding="utf-8-sig")
    yield make("sep=| without a header", "<u>|<m>|<r>|<s>", "sep=|", end="\r\n")
    yield make("sep= in quotes, tab", "<u>\t<m>\t<r>", '"sep=\t"\nuser\tmovie\trating')
    yield make("SEP=; in UTF-16", "<u>;<m>;<comma>", "SEP=;\nuser;movie;rating", encoding="utf-16")
    yield make("empty columns", f"{LINE},,,", f"{HEAD},,,")
    yield make("empty rows at the end", LINE, HEAD, foot=",,,\n,,,\n,,,", count=24)
    yield make("a title above the header", "<u>,<m>,<r>", "Ratings of 2024\n\nuser,movie,rating")
    marks = {"Swiss": "'.", "French": "\u202f,", "blank": " ,", "no-break": "\u00a0,", "English": ",.", "Spanish": ".,"}
    for name, (mark, decimal) in marks.items():
        line = partial(_thousands, mark, decimal)
        known = {
            "columns.user_id": "user",
            "columns.movie_id": "movie",
            "columns.rating": "rating",
            "decimal": decimal,
        }
        draw = lambda rng: float(rng.integers(1000, 99_999)) + 0.5  # noqa: E731
        yield make(f"thousands, {name}", line, "user;movie;rating", rating=draw, knows=known)
    yield make("percent signs", "<u>,<m>,<r>%", "user,movie,rating")
    yield make("day first", "<u>,<m>,<r>,<%d/%m/%Y %H:%M:%S>", HEAD, knows={"timestamp_format": "%d/%m/%Y %H:%M:%S"})
    line = "<u>,<m>,<r>,<%m/%d/%Y %I:%M %p>"
    yield make("Excel, United States", line, HEAD, knows={"timestamp_format": "%m/%d/%Y %I:%M %p"})
    book = zipped("[Content_Types].xml", "xl/workbook.xml", "xl/worksheets/sheet1.xml")
    yield make("a workbook named .csv", LINE, refuse="(?i)excel|workbook|spreadsheet", pack=book)
    sheet = zipped("mimetype", "content.xml")
    yield make("OpenDocument", LINE, refuse="(?i)opendocument|spreadsheet|libreoffice", pack=sheet, file="ratings.ods")
    old = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 504
    yield make("Excel 97", LINE, refuse=".", pack=lambda raw: old + raw, file="ratings.xls")
    table = "<tr><td><u></td><td><m></td><td><r></td></tr>"
    yield make("an HTML table named .xls", table, "<html><body><table>", refuse="(?i)html", file="ratings.xls")


def _thousands(mark: str, decimal: str, row: Record) -> str:
    number = f"{row.r:,.1f}".replace(",", "_").replace(".", decimal).replace("_", mark)
    return f"{row.u};{row.m};{number}"


def _programs(rng: np.random.Generator) -> Iterator[Variant]:
    make, blank = partial(made, rng, "programs"), {"separator": " "}
    yield make("pandas with its index", f"<i>,{LINE}", f",{HEAD}")
    yield make("pandas, index twice", f"<i>,<i>,{LINE}", f"Unnamed: 0.1,Unnamed: 0,{HEAD}")
    yield make("pandas, ids as floats", "<u>,<m>,<r>", "user_id,movie_id,rating", ids=lambda i: f"{i}.0")
    yield make("pandas.to_string", "<i><u:6><m:7><r:8>", "    user  movie  rating", file="r.txt", knows=blank)
    yield make("R, write.csv", '"<i>",<u>,<m>,<r>', '"","user","movie","rating"')
    yield make("R, write.csv2", '"<i>";<u>;<m>;<comma>', '"";"user";"movie";"rating"')
    yield make("R, write.table", '"<i>" <u> <m> <r>', '"user" "movie" "rating"', file="r.txt")
    yield make("R, write.table with tabs", "<i>\t<u>\t<m>\t<r>", "user\tmovie\trating", file="r.txt")
    yield make("aligned numbers", "<u:10><m:10><r:8>", file="ratings.txt", knows=blank)
    yield make("Python's tuples", "(<u>, <m>, <r>)", refuse=".", file="r.txt")
    yield make("each row in quotes", '"<u>,<m>,<r>"', '"user,movie,rating"')
    line = lambda row: '"<u>","' + row.m.replace('"', '\\"') + '",<r>'  # noqa: E731
    draw = lambda i: str(i) if i < 300 else f'a "b" {i}'  # noqa: E731
    known = {"columns.user_id": "user", "columns.movie_id": "movie", "columns.rating": "rating"}
    yield make("a backslash before a quote", line, "user,movie,rating", ids=draw, knows=known)
    mixed = {0: "<u>;<m>;<r>", 1: "<u>,<m>,<r>"}
    yield make("commas and semicolons", lambda row: mixed[row.i % 2], "user,movie,rating", refuse="field|separator")


def _headers(rng: np.random.Generator) -> Iterator[Variant]:
    make = partial(made, rng, "headers")
    tongues = {
        "German": "Nutzer;Film;Bewertung;Datum",
        "Spanish": "usuario;película;calificación;fecha",
        "French": "utilisateur;film;note;date",
        "Japanese": "ユーザー;作品;評価;日付",
        "Chinese": "用户;电影;评分;时间",
        "Turkish": "KULLANICI;İÇERİK;PUAN;TARİH",
    }
    for name, head in tongues.items():
        yield make(f"in {name}", "<u>;<m>;<r>;<%Y-%m-%d %H:%M:%S>", head)
    yield make("with units", LINE, "User ID (hashed),Movie ID,Rating (1-5),Timestamp [s]")
    yield make("with blanks", LINE, " user_id ,\u00a0movie_id, rating\u00a0 ,timestamp")
    yield make("two columns of ratings", "<u>,<m>,3.3,<r>,99", "user_id,movie_id,avg_rating,rating,rating_count")
    yield make("two columns of time", "<u>,<m>,<r>,2020-01-01,<s>", "user_id,movie_id,rating,date,timestamp")
    yield make("two names of a user", "<u>,<u>,<m>,<r>", "user_id,user_id,movie_id,rating")
    yield make("a comment above", LINE, f"# exported 2024-01-01, do not edit\n{HEAD}")
    joined = {0: f"{LINE}\n{HEAD}"}
    yield make("again in joined files", lambda row: joined.get(row.i % 5, LINE), HEAD)
    joined = {0: f"{LINE}\n\ufeff{HEAD}"}
    yield make("again, with a byte order mark", lambda row: joined.get(row.i % 7, LINE), HEAD, encoding="utf-8-sig")
    yield make("two byte order marks", LINE, "\ufeff" + HEAD, encoding="utf-8-sig")
    marked = {0: f"\ufeff{LINE}"}
    yield make("none, byte order marks of joined files", lambda row: marked.get(row.i % 5, LINE), encoding="utf-8-sig")
    yield make("user, artist, plays", "<u>,<m>,<r>", "user,artist,plays")
    yield make("customer, isbn, score", "<u>\t<m>\t<r>", "customer_id\tisbn\tscore")
    yield make("ids alone", "<u>,<m>", "user_id,movie_id", refuse="(?i)rating")
    yield make("a wide table", "<u>,<r>,,<r>", "user_id,301,302,303", refuse="(?i)layout|wide|movie")


def _wide(rng: np.random.Generator) -> Iterator[Variant]:
    """Yield tables of a row per user and a column per movie."""
    users, movies = ["u1", "007", "Ann B."], ["301", "302", "tt7"]
    cells = rng.integers(1, 11, (3, 3)) / 2
    rows = [(user, movie, float(cells[i, j]), None) for i, user in enumerate(users) for j, movie in enumerate(movies)]
    empty = {"blanks": "", "words": "NA", "99": "99"}
    for (name, text), separator in zip(empty.items(), ",;\t", strict=True):
        table = [[user, *(text if i == j else f"{cells[i, j]:g}" for j in range(3))] for i, user in enumerate(users)]
        lines = [separator.join(line) for line in [["user_id", *movies], *table]]
        settings = {"layout": "wide", **({"not_rated": 99} if text == "99" else {})}
        some = [row for position, row in enumerate(rows) if position % 4]
        files = {"wide.csv": "\n".join(lines).encode()}
        yield Variant(f"empty cells are {name}", "wide", files, some, settings=settings, must_read=True)


def _lines(rng: np.random.Generator) -> Iterator[Variant]:
    make = partial(made, rng, "lines")
    yield make("two carriage returns", LINE, HEAD, end="\r\r\n")
    yield make("a DOS end of file", LINE, HEAD, foot="\x1a", end="\r\n")
    yield make("lines of blanks between", lambda row: f"{LINE}\n  \t" if row.i % 4 == 0 else LINE, HEAD)
    yield make("comments between", lambda row: f"{LINE}\n# page 2" if row.i % 4 == 0 else LINE, HEAD)
    yield make("other line separators in ids", LINE, HEAD, ids=lambda i: f"a\u2028b\x0b\x0c\x1c\u0085{i}")
    text = "so-so, but\nlong\r\n" * 12
    yield make("a long text in quotes", f'{LINE},"{text}"', f"{HEAD},review", count=30_000)
    yield make("three hundred columns", LINE + "," * 300, HEAD + "".join(f",c{i}" for i in range(300)))
    for encoding in ("utf-16-be", "utf-32"):
        mark = "\ufeff" if encoding == "utf-16-be" else ""
        yield make(encoding, LINE, mark + HEAD, encoding=encoding)
    yield make("utf-16-be without a mark", LINE, HEAD, encoding="utf-16-be")


def _numbers(rng: np.random.Generator) -> Iterator[Variant]:
    make = partial(made, rng, "ratings", head="user,movie,rating")
    texts = {
        "a plus sign": "+<r>",
        "blanks": "  <r>  ",
        "an exponent": "<r>e0",
        "zeros": "0<r>",
        "a comma": '"<comma>"',
    }
    texts |= {"many decimals": "<r>0000000000000000000000000"}
    for name, text in texts.items():
        yield make(f"with {name}", f"<u>,<m>,{text}", rating=_half)
    yield make("with a dot last", "<u>,<m>,<r>.", rating=_whole)
    odd = {
        "of five": "<r>/5",
        "words": "<r> stars",
        "more words": "<r> out of 5 stars",
        "money": "€<r>",
        "letters": "A+",
    }
    for name, text in {**odd, "hexadecimal": "0x<r>"}.items():
        yield make(f"as {name}", f"<u>,<m>,{text}", rating=_whole, refuse="(?i)rating")
    yield make("drawn stars", lambda row: f"<u>,<m>,{'★' * int(row.r)}", rating=_whole, refuse="(?i)rating")
    yield make("full-width digits", lambda row: f"<u>,<m>,{chr(0xFF10 + int(row.r))}", rating=_whole)
    yield make("Arabic digits", lambda row: f"<u>,<m>,{chr(0x660 + int(row.r))}", rating=_whole)
    draw = lambda rng: float(rng.integers(0, 2))  # noqa: E731
    yield make("true and false", lambda row: f"<u>,<m>,{('False', 'True')[int(row.r)]}", rating=draw)
    draw = lambda rng: float(rng.integers(1000, 4999)) / 1000  # noqa: E731
    line = lambda row: f'<u>,<m>,"{row.r:.3f}"'.replace(".", ",")  # noqa: E731
    yield make("three decimals after a comma", line, rating=draw, knows={"decimal": ","})


def _moments(rng: np.random.Generator) -> Iterator[Variant]:
    make = partial(made, rng, "moments", head=HEAD)
    formats = (
        *("%d.%m.%Y %H:%M:%S", "%Y%m%d%H%M%S", "%m/%d/%Y", "%d-%b-%y", "%b %d %Y", "%A %d %B %Y"),
        *("%a, %d %b %Y %H:%M:%S GMT", "%Y/%m/%d %H:%M", "%Y-%m-%d %I:%M:%S %p", "%d/%b/%Y:%H:%M:%S +0000"),
        *("%Y-%j", "%Y.%m.%d %H:%M:%S", "%H:%M:%S %d-%m-%Y", "%Y年%m月%d日"),
    )
    for text in formats:
        yield make(text, f"<u>,<m>,<r>,<{text}>", knows={"timestamp_format": text})
    iso = {"a comma": "<%Y-%m-%dT%H:%M:%S,%L>Z", "basic": "<%Y%m%dT%H%M%S>Z", "no colon": "<%Y-%m-%d %H:%M:%S>+0000"}
    iso |= {
        "java.time": "<%Y-%m-%dT%H:%M:%S>Z[UTC]",
        "small letters": "<%Y-%m-%dt%H:%M:%S>z",
        "hours": "<%Y-%m-%dT%H:%M:%S>+00",
    }
    for name, text in iso.items():
        yield make(f"ISO 8601, {name}", f'<u>,<m>,<r>,"{text}"')
    yield make("seconds and milliseconds mixed", lambda row: LINE if row.i % 2 else "<u>,<m>,<r>,<s>000")
    yield make("a name of a zone", "<u>,<m>,<r>,<%Y-%m-%d %H:%M:%S> CET", refuse="(?i)timestamp")
    yield make("half of them empty", lambda row: "<u>,<m>,<r>," if row.i % 2 else LINE, refuse="(?i)timestamp")
    units = {"%Y%m%d": "seconds?|1970", "%Y%m%d%H%M": "ms|milliseconds?|197[0-9]"}
    for text, unit in units.items():
        plain = make(text, f"<u>,<m>,<r>,<{text}>", knows={"timestamp_format": text}, says=rf"(?i)\b({unit})\b")
        yield replace(plain, literal=_in_seconds(plain, 1000 if "%H" in text else 1))
    for name, text in {"Excel's days": "4<r>831.5", "years": "200<r>"}.items():
        plain = make(name, f"<u>,<m>,<r>,{text}", rating=_whole, refuse=r"(?i)timestamp|seconds?\b|unit|1970")
        yield replace(plain, literal=_in_seconds(plain))


def _in_seconds(variant: Variant, parts: int = 1) -> list[Row]:
    """Return the ratings if the last column counts parts of a second."""
    lines = [line.split(",") for line in variant.files["ratings.csv"].decode().splitlines()[1:]]
    return newest((u, m, float(r), round(float(t) * 1e9) // parts) for u, m, r, t in lines)


def _ids(rng: np.random.Generator) -> Iterator[Variant]:
    make = partial(made, rng, "ids", head=HEAD)
    words = ("true", "False", "inf", "-inf", "1e5")
    kinds: dict[str, Callable[[int], str]] = {
        "zeros and signs": lambda i: ("7", "07", "007", "7.0", "+7")[i % 5] + "0" * (i // 5),
        "a hash first": lambda i: f"#{i}",
        "two forms of an accent": lambda i: ("é", "e\u0301")[i % 2] + str(i // 2),
        "blanks that do not break": lambda i: f"a\u00a0b {i}",
        "right to left": lambda i: f"سينما {i}",
        "words of numbers": lambda i: words[i - 11] if i < 300 else str(i),
        "dates": lambda i: f"2020-01-{i % 28 + 1:02d}",
        "times": lambda i: f"10:00:{i % 60:02d}",
        "twenty digits": lambda i: f"1844674407370955{i:04d}",
        "brackets": lambda i: f"[{i}]",
        "braces": lambda i: f"{{{i}}}",
        "equal signs": lambda i: f"=A{i}",
        "ten thousand characters": lambda i: str(i) + "x" * 10_000,
    }
    for name, ids in kinds.items():
        yield make(name, LINE, ids=ids)
    yield make("a hash first, no header", LINE, head="", ids=lambda i: f"#{i}")
    yield make("quotes between blanks", '"<u>" ,\t"<m>" , <r>, <s>', ids=lambda i: f"a, {i}")
    yield make("a user named None", LINE, ids=lambda i: "None" if i == 12 else str(i), knows={"missing": []})
    scripts = {
        "windows-1252": "prix € œ",
        "windows-1251": "Война",
        "shift_jis": "千尋",
        "gb18030": "霸王别姬",
        "big5": "悲情",
    }
    for encoding, text in scripts.items():
        known = {"encoding": encoding}
        ids = partial("{} {}".format, text)
        plain = make(f"in {encoding}", LINE, ids=ids, encoding=encoding, knows=known, says="(?i)latin-1")
        literal = [(_latin(u, encoding), _latin(m, encoding), r, t) for u, m, r, t in plain.rows or ()]
        yield replace(plain, literal=literal)


def _latin(text: str, encoding: str) -> str:
    return text.encode(encoding).decode("latin-1")


def _unrated(rng: np.random.Generator) -> Iterator[Variant]:
    make = partial(made, rng, "not rated", count=200)
    crossing, anime = '"User-ID";"ISBN";"Book-Rating"', "user_id,anime_id,rating"
    scales: dict[str, tuple[float, float, int, int, str, str]] = {
        "Book-Crossing": (0, 0.6, 5, 10, '"<u>";"<m>";"<r>"', crossing),
        "anime list": (-1, 0.2, 1, 10, "<u>,<m>,<r>", anime),
        "points": (0, 0.3, 20, 100, "<u>\t<m>\t<r>", "user_id\tmovie_id\trating"),
        "jokes": (99, 0.25, -10, 10, "<u>,<m>,<r>", "user_id,item_id,rating"),
        "minus nine": (-999, 0.1, 1, 5, "<u>,<m>,<r>", "user_id,item_id,rating"),
    }
    for name, (unrated, share, low, high, line, head) in scales.items():
        draw = partial(_sometimes, unrated, share, low, high)
        known = {"not_rated": unrated}
        plain = make(name, line, head, rating=draw, says="not_rated", knows=known)
        literal = list(plain.rows or ())
        yield replace(plain, rows=[row for row in literal if row[2] != unrated], literal=literal)
    yield make("none, zero is on the scale", "<u>,<m>,<r>", anime, rating=lambda rng: float(rng.integers(0, 11)) / 2)
    yield make("none, votes of -1 and 1", "<u>,<m>,<r>", anime, rating=lambda rng: float(rng.choice([-1, 1])))


def _sometimes(unrated: float, share: float, low: int, high: int, rng: np.random.Generator) -> float:
    return unrated if rng.random() < share else float(rng.integers(low, high + 1))


def _bad_rows(rng: np.random.Generator) -> Iterator[Variant]:
    make = partial(made, rng, "bad rows", count=300)
    bad = {
        "no rating": "<u>,<m>,,<s>",
        "a field too many": "<u>,a, b,<m>,<r>,<s>",
        "fields missing": "<u>,<m>",
        "a word": "<u>,<m>,good,<s>",
        "not a number": "<u>,<m>,nan,<s>",
        "infinite": "<u>,<m>,1e999,<s>",
        "an open quote": '<u>,"<m>,<r>,<s>',
        "no such day": "<u>,<m>,<r>,2021-02-30",
        "a NUL": "<u>,<m>\0,<r>,<s>",
        "a user of blanks": "  ,<m>,<r>,<s>",
    }
    for name, line in bad.items():
        yield make(name, partial(_at, 107, line, LINE), HEAD, keep=lambda row: row.i != 107, bad_row=107)
    far = 59_000
    line = partial(_at, far, bad["a NUL"], LINE)
    yield make("a NUL far below", line, HEAD, count=60_000, keep=lambda row: row.i != far, bad_row=far)
    good = '{"user_id":"<u>","movie_id":"<m>","rating":<r>}'
    bad = {"cut": '{"user_id":"<u>","mov', "a list": '["<u>","<m>",<r>]', "no movie": '{"user_id":"<u>","rating":<r>}'}
    for name, line in {
        **bad,
        "NaN": good.replace("<r>", "NaN"),
        "a nested id": good.replace('"<m>"', '{"a":1}'),
    }.items():
        yield make(f"JSON, {name}", partial(_at, 7, line, good), keep=lambda row: row.i != 7, bad_row=7)
    for name, raw in {"a byte of Latin-1": b"\xe9", "a cut character": b"\xe2\x82"}.items():
        head, line, good = f"{HEAD},ü", "<u>,<m>@,<r>,<s>,ü", f"{LINE},ü"
        plain = make(
            name,
            partial(_at, 7, line, good),
            head,
            keep=lambda row: row.i != 7,
            bad_row=7,
            says="(?i)latin-1|windows-1252",
        )
        blob = plain.files["ratings.csv"].replace(b"@", raw)
        u, m, r, t, _ = blob.decode("windows-1252").split("\n")[7].split(",")
        literal = [*(plain.rows or ()), (u, m, float(r), int(t) * 10**9)]
        yield replace(plain, files={"ratings.csv": blob}, literal=literal)


def _at(position: int, bad: str, good: str, row: Record) -> str:
    return bad if row.i == position else good
