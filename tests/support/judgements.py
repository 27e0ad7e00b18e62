"""Made-up histories with one kind of record changed, and the verdicts on them."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from histories import FOUR, Shapes, history

from cfmodel.gradients.health.judge import judge_health
from cfmodel.gradients.health.verdicts import HealthReport, Verdict
from cfmodel.gradients.recording.gradient_history import GradientHistory
from cfmodel.gradients.recording.gradient_records import StepBlock

Change = Callable[[Any], Any]


def judged(
    kind: type | None = None,
    change: Change | None = None,
    *,
    tables: Shapes = FOUR,
    sides: Mapping[str, str] | None = None,
) -> HealthReport:
    """Judge a sound made-up history in which every record of one kind was changed."""
    records = history(refit=False, tables=tables, sides=sides)
    return judge_health(
        GradientHistory.of(change(one) if change and kind and isinstance(one, kind) else one for one in records)
    )


def found(kind: type, change: Change, rule: str, **tables: Any) -> Verdict:
    """Return what a rule says of such a history."""
    verdicts = {verdict.rule: verdict for verdict in judged(kind, change, **tables).verdicts}
    assert rule in verdicts, list(verdicts)
    return verdicts[rule]


def table(name: str, **changes: Any) -> Change:
    """Return what changes one table of a record."""
    return lambda record: replace(record, tables=record.tables | {name: replace(record.tables[name], **changes)})


def far_rating(block: StepBlock, epochs: tuple[int, ...]) -> StepBlock:
    """Put one rating, the same in each, 50 off its prediction in these epochs."""
    if block.epoch not in epochs:
        return block
    largest, user, movie = (
        column.copy() for column in (block.largest_error, block.largest_error_user, block.largest_error_movie)
    )
    largest[7 + block.epoch], user[7 + block.epoch], movie[7 + block.epoch] = 50.0, 11, 22
    return replace(block, largest_error=largest, largest_error_user=user, largest_error_movie=movie)
