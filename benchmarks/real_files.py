"""Files of ratings as people have them, in variants drawn and written by hand, and what ingest makes of each.

    python benchmarks/real_files.py [--seed 0] [--variants 240] [--only WORDS] [--show] [--keep FOLDER]

Every file is written from ratings made up first, so the right answer is known and owes nothing to the readers. Some
variants are drawn from all combinations of separator, encoding, columns, ids, moments, scale, line ends, quotes,
compression and container (`real_files_drawn.py`); the others are what programs and sites export
(`real_files_exports.py`, `real_files_stored.py`).

Each is ingested in this process, with the settings that its owner would give at once, and judged:

- right: rows, ids, ratings and moments are exact. If a file does not tell its reading (no header, codes for "not
  rated"), the reading must be told, and the setting that is told must give the right ratings.
- refused: a refusal names the file and a remedy. Its owner follows the settings it names, up to five times, and that
  ends with the right ratings, or the file must be converted or cannot be read at all.
- misled: a refusal without file or remedy; or its remedy leads to wrong ratings, in a circle, or to no ratings.
- wrong: other ratings than those in the file, or rows missing, without a word.
- crashed: any other exception.

The exit status is 1 if any is misled, wrong or crashed. `--show` prints these with what was said; `--keep` writes their
files and a text per variant to a folder.
"""

import argparse
import contextlib
import io
import json
import logging
import re
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError
from real_files_drawn import drawn_variants
from real_files_exports import export_variants
from real_files_stored import stored_variants
from real_files_variant import Row, Variant

from cfmodel.config import IngestSettings
from cfmodel.data.ingest.ingest import ingest
from cfmodel.errors import CFModelError
from cfmodel.refs import DatasetRef

VERDICTS = ("right", "refused", "misled", "wrong", "crashed")
_MOST_REMEDIES = 5
#: What a remedy begins with.
_REMEDY = re.compile(
    r"\b(set|give|name|save|export|convert|correct|remove|raise|unpack|use|write|turn|take|add|rename|download|compress)\b"
)
_SETTING = re.compile(r"ingest\.([a-z_]+(?:\.[a-z_]+)?)(?:\s*=\s*(\"[^\"]*\"|'[^']*'|\[[^\]]*\]|[^\s,;:()]+))?")


@dataclass(frozen=True)
class Reading:
    """What one call of ingest gave: ratings and all that was said, or an error."""

    rows: Sequence[Row] | None
    said: str
    error: Exception | None = None


@dataclass(frozen=True)
class Outcome:
    """A verdict and its reason."""

    verdict: str
    reason: str


def read(source: Path, settings: dict[str, Any], folder: Path) -> Reading:
    """Ingest a source; settings are by dotted name below `ingest`."""
    printed = io.StringIO()
    handler = logging.StreamHandler(printed)
    logging.getLogger().addHandler(handler)
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed), warnings.catch_warnings():
            warnings.simplefilter("always")
            ref = ingest(str(source), IngestSettings.model_validate(_tree(settings)), folder=folder)
        return Reading(_rows(ref.path / "ratings.parquet"), f"{told(ref)}\n{printed.getvalue()}")
    except Exception as error:  # judged by the caller
        return Reading(None, f"{error}\n{printed.getvalue()}", error)
    finally:
        logging.getLogger().removeHandler(handler)


def told(ref: DatasetRef) -> str:
    """Return what a run says of how it took the source, beside what ingest prints, logs and warns of itself.

    Change this where the reading is kept elsewhere: now it is whatever the ref has beside counts, paths and digests.
    """
    numbers = {"path", "digest", "source", "source_digest", "has_timestamps", "accounts", "drift", "seconds"}
    return ref.model_dump_json(exclude=numbers)


def _tree(settings: dict[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for name, value in settings.items():
        section, _, leaf = name.rpartition(".")
        (tree.setdefault(section, {}) if section else tree)[leaf] = value
    return tree


def _rows(path: Path) -> list[Row]:
    """Return the ingested ratings, moments as nanoseconds whatever their unit in the file."""
    table = pq.read_table(path)
    moments = table["timestamp"]
    if pa.types.is_timestamp(moments.type):
        moments = moments.cast(pa.timestamp("ns")).cast(pa.int64())
    columns = (table["user_id"].to_pylist(), table["movie_id"].to_pylist(), table["rating"].to_pylist())
    return list(zip(*columns, moments.to_pylist(), strict=True))


def same(found: Sequence[Row], expected: Sequence[Row]) -> bool:
    """Return whether ratings are the same in any order, moments to the microsecond.

    The ingested moments may be whole seconds or any finer unit, the same in all rows.
    """
    units = (10**9, 10**6, 10**3, 1)
    wanted = sorted((*row[:3], None if row[3] is None else row[3] // 1000) for row in expected)
    return any(_in_microseconds(found, unit) == wanted for unit in units)


def _in_microseconds(rows: Sequence[Row], unit: int) -> list[Row]:
    return sorted((*row[:3], None if row[3] is None else row[3] * unit // 1000) for row in rows)


class Judge:
    """Follows one variant from its first reading along the remedies that are named."""

    def __init__(self, variant: Variant, folder: Path) -> None:
        """Write the variant's files below an empty folder."""
        self.variant, self.folder = variant, folder
        self.story: list[str] = []
        self.refusals: list[str] = []
        for path, content in variant.files.items():
            (folder / "files" / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / "files" / path).write_bytes(content)
        self.source = folder / "files" / (variant.source or next(iter(variant.files)))

    def outcome(self) -> Outcome:
        """Return the verdict, and all that was said on the way."""
        verdict, reason = self._read(dict(self.variant.settings))
        return Outcome(verdict, "\n".join([*self.story, f"-> {reason}"]))

    def _read(self, settings: dict[str, Any]) -> tuple[str, str]:
        """Ingest with these settings and judge it; a refusal leads on to the settings that it names."""
        reading = read(self.source, settings, self.folder / f"data{len(self.story)}")
        said = reading.said.replace(f"{self.folder}/files/", "").strip()
        count = "" if reading.rows is None else f"{len(reading.rows)} ratings; "
        self.story.append(f"{settings or 'no settings'}: {count}{said}")
        if reading.rows is not None:
            return self._judge_rows(reading.rows, said, settings)
        if isinstance(reading.error, ValidationError):
            return "misled", "a setting that a message named is refused"
        if not isinstance(reading.error, CFModelError):
            self.story.extend(traceback.format_exception(reading.error))
            return "crashed", type(reading.error).__name__
        return self._judge_refusal(said, settings)

    def _judge_rows(self, rows: Sequence[Row], said: str, settings: dict[str, Any]) -> tuple[str, str]:
        variant = self.variant
        if settings.get("columns.timestamp") == "" and "timestamp_format" not in variant.knows:
            variant = replace(variant, rows=variant.rows and [(*row[:3], None) for row in variant.rows])
        if variant.rows is not None and same(rows, variant.rows):
            if variant.bad_row and "on_bad_row" not in settings:
                return "wrong", f"row {variant.bad_row} is no rating and was left out without a word"
            if variant.must_say and not re.search(variant.says, said) and not self.refusals:
                return "wrong", f"the ratings are right, but how they were read is not said ({variant.says})"
            return ("refused", "right after its remedy") if self.refusals else ("right", "")
        if variant.literal is not None and same(rows, variant.literal):
            if not re.search(variant.says, said):
                return "wrong", f"a file that does not tell its reading was read without saying how ({variant.says})"
            known = {name: value for name, value in variant.knows.items() if name != "separator"}
            if variant.rows is None or not self._is_new(known, settings):
                return "right", "as it said"
            return self._read({**settings, **known})
        if variant.rows is None:
            return (
                ("refused", "read as its owner says")
                if self.refusals
                else ("wrong", f"read as ratings such as {rows[0]}")
            )
        return "wrong", _difference(rows, variant.rows)

    def _judge_refusal(self, said: str, settings: dict[str, Any]) -> tuple[str, str]:
        """Judge a refusal by its words, then by where the settings lead that it names."""
        fault = self._fault(said)
        self.refusals.append(said)
        if fault or len(self.refusals) > _MOST_REMEDIES:
            return "misled", fault or "no end of remedies"
        if "on_bad_row" in settings and "max_bad_fraction" not in said:
            return "misled", "setting bad rows aside leaves no ratings"
        found = _SETTING.findall(said)
        known = {name: value for name, value in self._owner_knows().items() if self._is_named(name, found)}
        if self._is_new(known, settings):
            return self._read({**settings, **known})
        pasted = [{name: _value(value)} for name, value in found if value and (name[:7] != "columns" or value == "''")]
        steps = [self._read({**settings, **step}) for step in pasted if self._is_new(step, settings)]
        if steps:
            return next((step for step in steps if step[0] == "refused"), ("misled", f"its remedy: {steps[0][1]}"))
        if self.variant.rows is None:
            return "refused", ""
        if known or self.variant.must_read:
            return "misled", "it advises what was done" if known else "the guide promises to read this"
        return "refused", "to be converted or corrected by hand"

    def _owner_knows(self) -> dict[str, Any]:
        return {"max_bad_fraction": 1.0, **self.variant.knows}

    @staticmethod
    def _is_named(name: str, found: list[tuple[str, str]]) -> bool:
        """Return whether a message names a setting; one that names any column asks for all of them."""
        if name.startswith("columns"):
            return any(one.startswith("columns") and not value for one, value in found)
        return any(one == name for one, _ in found)

    def _fault(self, said: str) -> str:
        """Return what is wrong with a refusal by itself; empty: nothing."""
        variant = self.variant
        names = {Path(path).name for path in variant.files} | {self.source.name}
        if said in self.refusals:
            return "the same refusal again"
        if not any(name in said for name in names):
            return "names no file"
        if not _REMEDY.search(said):
            return "names no remedy"
        if variant.rows is None and not self.refusals and not re.search(variant.says, said):
            return f"does not say what the file is ({variant.says})"
        if variant.bad_row and not self.refusals and not re.search(rf"\brow {variant.bad_row:,}\b", said):
            return f"does not name row {variant.bad_row:,}"
        return ""

    @staticmethod
    def _is_new(step: dict[str, Any], settings: dict[str, Any]) -> bool:
        return any(name not in settings or settings[name] != value for name, value in step.items())


def _value(text: str) -> Any:
    """Return the value of a setting as it is written in a message."""
    text = text.strip("'\"`") if text[0] in "'\"`" else text.rstrip(".")
    with contextlib.suppress(ValueError):
        return json.loads(text)
    return text


def _difference(found: Sequence[Row], expected: Sequence[Row]) -> str:
    """Return one line that says how ratings differ from the right ones."""
    extra, missing = (_less(one, other) for one, other in ((found, expected), (expected, found)))
    if extra or missing:
        samples = f"not in the file: {extra[:1]}; missing: {missing[:1]}"
        return f"{len(extra)} ratings are not in the file and {len(missing)} are missing; {samples}"[:600]
    moments = {row[:3]: row[3] for row in expected}
    return f"moments differ, such as {found[0][:3]} at {found[0][3]}, not {moments[found[0][:3]]} ns"


def _less(rows: Sequence[Row], others: Sequence[Row]) -> list[Any]:
    return list((Counter(row[:3] for row in rows) - Counter(row[:3] for row in others)).elements())


def all_variants(seed: int, drawn: int) -> Iterator[Variant]:
    """Yield the variants written by hand, then the drawn ones."""
    yield from export_variants(np.random.default_rng(seed))
    yield from stored_variants(np.random.default_rng(seed))
    yield from drawn_variants(np.random.default_rng(seed), drawn)


def judge(variant: Variant) -> Outcome:
    """Judge one variant in a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        return Judge(variant, Path(folder)).outcome()


def table(counts: Counter[tuple[str, str]]) -> str:
    """Return the table: a row per kind, a column per verdict."""
    kinds = list(dict.fromkeys(kind for kind, _ in counts))
    lines = [f"{'kind':<22}{'tried':>8}" + "".join(f"{verdict:>9}" for verdict in VERDICTS)]
    for name, members in [*((kind, [kind]) for kind in kinds), ("all", kinds)]:
        by_verdict = [sum(counts[kind, verdict] for kind in members) for verdict in VERDICTS]
        lines.append(f"{name:<22}{sum(by_verdict):>8}" + "".join(f"{count:>9}" for count in by_verdict))
    return "\n".join(lines)


def keep(folder: Path, variant: Variant, outcome: Outcome) -> None:
    """Write a variant's files below a folder, and what became of it to STORY.txt."""
    place = folder / re.sub(r"\W+", "-", f"{variant.kind} {variant.name}".lower())[:100].strip("-")
    for path, content in variant.files.items():
        (place / "files" / path).parent.mkdir(parents=True, exist_ok=True)
        (place / "files" / path).write_bytes(content)
    rows = "none: it must be refused" if variant.rows is None else "\n".join(map(str, variant.rows[:400]))
    told = [f"{variant.kind}: {variant.name}", f"{outcome.verdict}\n{outcome.reason}"]
    told += [f"source: {variant.source or next(iter(variant.files))}", f"settings given: {dict(variant.settings)}"]
    told += [f"settings known when asked: {dict(variant.knows)}", f"right ratings (user, movie, rating, ns):\n{rows}"]
    (place / "STORY.txt").write_text("\n\n".join(told) + "\n", encoding="utf-8")


def main() -> int:
    """Print the table; return 1 if any variant is misled, wrong or crashed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--variants", type=int, default=240, help="number of drawn variants")
    parser.add_argument("--only", default="", help="only variants whose kind and name contain these words")
    parser.add_argument("--show", action="store_true", help="print what was said of each that is not right")
    parser.add_argument("--keep", type=Path, help="folder for the files of each that is misled, wrong or crashed")
    given = parser.parse_args()
    counts: Counter[tuple[str, str]] = Counter()
    for variant in all_variants(given.seed, given.variants):
        if given.only not in f"{variant.kind}: {variant.name}":
            continue
        outcome = judge(variant)
        counts[variant.kind, outcome.verdict] += 1
        failed = VERDICTS.index(outcome.verdict) >= 2
        if given.show and outcome.verdict != "right":
            print(f"\n=== {outcome.verdict}: {variant.kind}: {variant.name}\n{outcome.reason}")
        if given.keep and failed:
            keep(given.keep, variant, outcome)
    print(table(counts))
    return int(any(counts[kind, verdict] for kind, verdict in counts if verdict in VERDICTS[2:]))


if __name__ == "__main__":
    sys.exit(main())
