"""The check on files as people have them: its files and verdicts are true, and a part of it passes."""

import json
import re
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from real_files import all_variants, judge, main
from real_files_drawn import drawn_variants
from real_files_variant import HEAD, LINE, Variant, made

#: What is read right, or refused with a remedy that works, whatever the seed.
SOUND = re.compile(r"^(folders|compression|other formats|drawn)")
#: Not right yet: moments within a second, Parquet's decimals, some folders, decimal commas without a header.
NOT_YET = re.compile(r"milli|micro|nano|fraction|\[[mun]s|decimal|no header|0 to 1|part|beside|RecBole|^empty$")


def plain(**changes: object) -> Variant:
    return replace(made(np.random.default_rng(0), "plain", "plain", LINE, HEAD), **changes)  # type: ignore[arg-type]


def test_every_variant_has_a_name_of_its_own_and_is_the_same_for_the_same_seed() -> None:
    once, again = (list(all_variants(3, 200)) for _ in range(2))
    assert len({(variant.kind, variant.name) for variant in once}) == len(once) > 400
    assert [(variant.name, variant.rows) for variant in once] == [(variant.name, variant.rows) for variant in again]


def test_drawn_json_lines_hold_the_ratings_of_the_variant() -> None:
    variants = [one for one in drawn_variants(np.random.default_rng(1), 200) if one.kind == "drawn: json"]
    for variant in variants:
        texts = [blob for path, blob in variant.files.items() if path.endswith("jsonl")]
        encoding = "utf-16" if "utf-16" in variant.name else "utf-8-sig"
        lines = re.split(r"[\r\n]+", "\n".join(text.decode(encoding) for text in texts).strip())
        ids = {str(value) for line in lines if line for value in json.loads(line).values()}
        assert not texts or {one for row in variant.rows or () for one in row[:2]} <= ids


def test_a_plain_file_is_right() -> None:
    assert judge(plain()).verdict == "right"


def test_another_rating_id_or_moment_is_wrong() -> None:
    user, movie, rating, moment = (plain().rows or ())[0]
    assert moment is not None
    rest = list(plain().rows or ())[1:]
    others = [
        (user, movie, rating + 0.5, moment),
        (f"0{user}", movie, rating, moment),
        (user, movie, rating, moment + 10**9),
    ]
    for other in others:
        outcome = judge(plain(rows=[other, *rest]))
        assert outcome.verdict == "wrong"
        assert movie in outcome.reason
    assert judge(plain(rows=rest)).verdict == "wrong"


def test_a_reading_that_no_reading_should_have_is_wrong() -> None:
    assert judge(plain(rows=None, says="user")).verdict == "wrong"
    assert judge(plain(rows=[], literal=plain().rows, says="never said")).verdict == "wrong"


def test_the_settings_that_a_refusal_names_are_followed() -> None:
    columns = {"columns.user_id": "a", "columns.movie_id": "b", "columns.rating": "c", "columns.timestamp": "d"}
    variant = made(np.random.default_rng(0), "plain", "letters", LINE, "a,b,c,d", knows=columns)
    outcome = judge(variant)
    assert outcome.verdict == "refused"
    assert "'columns.user_id': 'a'" in outcome.reason
    assert judge(replace(variant, knows={**columns, "columns.movie_id": "c", "columns.rating": "b"})).verdict == "wrong"


def test_a_bad_row_must_be_named_and_is_set_aside_as_the_refusal_says() -> None:
    def line(number: int) -> str:
        return "<u>,<m>,good,<s>" if number == 7 else LINE

    variant = made(
        np.random.default_rng(0),
        "plain",
        "a word",
        lambda row: line(row.i),
        HEAD,
        count=200,
        keep=lambda row: row.i != 7,
        bad_row=7,
    )
    assert judge(variant).verdict == "refused"
    outcome = judge(replace(variant, bad_row=8))
    assert (outcome.verdict, outcome.reason.splitlines()[-1]) == ("misled", "-> does not name row 8")


def test_drawn_files_folders_and_compressed_files_are_right_or_refused_with_a_remedy_that_works() -> None:
    drawn = (one for one in all_variants(0, 60) if SOUND.match(one.kind) and not NOT_YET.search(one.name))
    failed = {one.name: judge(one) for one in islice(drawn, 90)}
    assert {name: one.reason for name, one in failed.items() if one.verdict not in ("right", "refused")} == {}


def test_the_table_counts_each_verdict(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["real_files.py", "--variants", "0", "--only", "compression: gzip"])
    assert main() == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].split()[:2] == ["all", lines[-2].split()[1]]
