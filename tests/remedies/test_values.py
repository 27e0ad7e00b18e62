"""Remedies of refusals that are told several at once, before anything is started, followed."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from following import refused
from refusals import remedy_of

from cfmodel.commands.overrides import read_overrides
from cfmodel.config import IngestSettings, PipelineSettings, SplitSettings
from cfmodel.data.ingest.ingest import ingest
from cfmodel.data.ingest.look import look
from cfmodel.data.splitting.split import split
from cfmodel.data.vocabulary import Vocabulary

GOOD = "user_id,movie_id,rating\n" + "".join(f"u{n % 7},m{n % 11},{1 + n % 5}\n" for n in range(60))
Rows = Callable[..., int]


@pytest.fixture
def rows(tmp_path: Path) -> Rows:
    """Write a file and return how many rows are read of it."""

    def read(content: str, name: str = "x.csv", *, source: str | None = None, **changed: Any) -> int:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        dotted = {f"ingest.{key.replace('__', '.')}": value for key, value in changed.items()}
        settings = PipelineSettings.of(overrides=dotted).ingest
        return ingest(str(tmp_path / (source or name)), settings, folder=tmp_path / "data").rows

    return read


@remedy_of("cfmodel/commands/overrides.py", "'\\n'.join(wrong)")
def test_a_setting_with_a_name_and_a_value_is_read() -> None:
    with refused("--set epochs: expected NAME=VALUE, such as train.epochs=5"):
        read_overrides(["epochs"])
    assert PipelineSettings.of(overrides=read_overrides(["train.epochs=5"])).train.epochs == 5


@remedy_of("cfmodel/data/formats/column_roles.py", "give the number of the one that holds")
@remedy_of("cfmodel/data/formats/column_roles.py", "{}: {}")
def test_a_column_by_its_number_or_a_name_that_is_there(rows: Rows) -> None:
    twins = GOOD.replace("\n", ",1\n").replace("rating,1", "rating,rating")
    with refused("columns 3 and 4 are both named 'rating'; give the number of the one that holds the") as raised:
        rows(twins)
    (number,) = re.findall(r"ingest\.columns\.rating=(\d)", str(raised.value))
    assert rows(twins, columns__rating=number) == 60
    with refused("ingest.columns.rating is 'stars'"):
        rows(GOOD, columns__rating="stars")
    assert rows(GOOD, columns__rating="rating") == 60


@remedy_of("cfmodel/data/formats/column_roles.py", "ingest.columns.user_id is {}; the file has")
def test_a_user_column_that_a_wide_table_has(rows: Rows) -> None:
    wide = "user,a,b\nx,1,2\ny,3,4\n"
    with refused("ingest.columns.user_id is 'who'; the file has", "'user', 'a', 'b'"):
        rows(wide, layout="wide", columns__user_id="who")
    assert rows(wide, layout="wide", columns__user_id="user") == 4


@remedy_of("cfmodel/data/ingest/quarantine.py", "'\\n'.join(told)")
@remedy_of("cfmodel/data/ingest/look.py", "'\\n'.join(problems)")
def test_bad_rows_are_corrected_removed_or_set_aside_and_a_source_is_looked_at_again(
    rows: Rows, tmp_path: Path
) -> None:
    bad = GOOD + "u9,m9,many\n"
    with refused("row 61: rating 'many' is not a number", "correct or remove the row", "ingest.on_bad_row"):
        rows(bad)
    assert rows(bad.replace("many", "2")) == 61
    assert rows(GOOD) == 60
    assert rows(bad, on_bad_row="quarantine", max_bad_fraction=0.1) == 60
    source = str(tmp_path / "x.csv")
    with refused("row 61: rating 'many' is not a number"):
        look(source, IngestSettings(), SplitSettings())
    rows(GOOD)
    assert look(source, IngestSettings(), SplitSettings())


@remedy_of("cfmodel/data/ingest/read_source.py", "'\\n'.join(refusals[:8] + more)")
def test_files_without_those_that_are_named_are_read(rows: Rows) -> None:
    rows(GOOD, "some/a.csv")
    with refused("b.csv: ", "(read together: 2 files, a.csv, b.csv"):
        rows("one,two\nx,y\n", "some/b.csv", source="some")
    assert rows(GOOD, "some/a.csv") == 60


@remedy_of("cfmodel/data/splitting/assign_parts.py", "without_times(settings.strategy)")
def test_a_split_by_time_of_ratings_with_times(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(GOOD)
    taken = ingest(str(tmp_path / "x.csv"), IngestSettings(), folder=tmp_path)
    with refused("needs timestamps", "set split.strategy = 'random', or name the column that holds times: --set"):
        split(taken, SplitSettings(strategy="temporal"), folder=tmp_path)
    assert split(taken, SplitSettings(strategy="random"), folder=tmp_path)
    lines = [f"{line},{'when' if n == 0 else 1_600_000_000 + n}" for n, line in enumerate(GOOD.splitlines())]
    (tmp_path / "x.csv").write_text("\n".join(lines))
    named = PipelineSettings.of(overrides=read_overrides(["ingest.columns.timestamp=when"])).ingest
    timed = ingest(str(tmp_path / "x.csv"), named, folder=tmp_path)
    assert split(timed, SplitSettings(strategy="temporal"), folder=tmp_path)


@remedy_of("cfmodel/data/vocabulary.py", "_inexact(float(id))")
@remedy_of("cfmodel/data/vocabulary.py", "_inexact(inexact[0].as_py())")
@pytest.mark.parametrize("ids", [[2.0**60, "x"], [2.0**60]])
def test_a_large_id_given_as_text(ids: list[object]) -> None:
    known = Vocabulary.of([str(2**60)])
    with refused("stand for several whole numbers; give it as text"):
        known.encode(ids)
    assert known.encode([str(2**60)]).tolist() == [0]
