"""Versions put forward, held against the champion, promoted and rolled back; every decision written down."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cfmodel.config import PipelineSettings
from cfmodel.errors import TrackingError
from cfmodel.run_description import escape_markdown, replace_promotion
from cfmodel.system.addresses import shown
from cfmodel.tracking.models.load import check_version, recommender_of
from cfmodel.tracking.models.registry import (
    CHALLENGER,
    CHAMPION,
    Version,
    find_version,
    register,
    remove_alias,
    set_alias,
    tag_version,
    version_of,
)
from cfmodel.tracking.recorded_model import model_of
from cfmodel.tracking.run import RunSummary, TrackedRun
from cfmodel.tracking.runs.find_runs import data_folders, find_run, train_settings_of
from cfmodel.tracking.runs.lifecycle import log_metrics, read_run, set_tags
from cfmodel.tracking.runs.list_runs import DESCRIPTION, PREVIOUS_CHAMPION
from cfmodel.tracking.store import client, is_missing, reaching, resolve_uri

if TYPE_CHECKING:
    from cfmodel.promotion.decision import Comparison, Decision


@dataclass(frozen=True)
class Rollback:
    """A champion taken back.

    Attributes:
        model_name: The registered model.
        version: The champion now.
        replaced_version: The champion before.
    """

    model_name: str
    version: str
    replaced_version: str


def put_forward(run: TrackedRun, model_uri: str, *, model_name: str) -> Version:
    """Make a run's model a version and the challenger.

    Raises:
        TrackingError: It is the champion already, or the store is away or refuses.
    """
    version = register(run, model_uri, model_name=model_name)
    _require_other_than_champion(version)
    set_alias(version, CHALLENGER)
    told = read_run(run.tracking_uri, run.run_id)
    name = f"version {version.number} of {escape_markdown(model_name)}"
    waiting = f"**not decided**: {name} is the challenger; `cfmodel promote` decides"
    # By the run as the store has it: what is told now is there now.
    set_tags(told.run, {"model_version": version.number} | _description(told, waiting))
    return version


def put_forward_later(settings: PipelineSettings, run: str) -> Version:
    """Make a finished run's model a version and the challenger, where the run itself could not.

    Args:
        settings: Which store, which experiment, which registered model.
        run: Its id, name, or a start of its id.

    Raises:
        TrackingError: There is no such run, it did not come to its end, it recorded no model, its model is the
            champion, or the store is away.
    """
    found = find_run(settings.tracking, run)
    if found.status != "FINISHED":
        raise TrackingError(f"run {found.run.run_id} is {found.status}; only a finished run's model is put forward")
    return put_forward(found.run, model_of(found.run), model_name=settings.promotion.model_name)


def promote(settings: PipelineSettings, wanted: str = CHALLENGER) -> "Decision":
    """Hold a version against the champion, write the decision down, and move the alias where it says so.

    Both predict the very same rows, which neither learned from; `cfmodel.promotion` says what is
    asked of the winner. Before the alias moves, the version is loaded from the registry and has to
    answer as the trained model does. The decision is written to the run and to the version first.

    Args:
        settings: Which store, which registered model, how sure to be.
        wanted: The version, by number or alias.

    Raises:
        DataError: A model does not say what it learned from.
        DigestError: The version's split or model is no longer on this machine, or is damaged.
        TrackingError: There is no such version, it is the champion already, its model does not load
            or answers otherwise, another decision came between, or the store is away.
    """
    from cfmodel.promotion.decision import judge

    challenger = _version(settings, wanted)
    _require_other_than_champion(challenger)
    champion = find_version(challenger.tracking_uri, challenger.model_name, CHAMPION)
    run = read_run(challenger.tracking_uri, challenger.run_id)
    decision = judge(
        _compared(challenger, champion, run, settings),
        settings.promotion,
        version=challenger.number,
        champion_version=None if champion is None else champion.number,
        health=run.tags.get("health.verdict"),
        decided_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    if decision.is_promotion:
        _check(challenger, run, settings)
    _write_down(decision, challenger, run)
    if decision.is_promotion:
        _crown(challenger, champion)
    return decision


def rollback(settings: PipelineSettings, to: str | None = None) -> Rollback:
    """Make an earlier version the champion again: the one the champion took over from, or the one named.

    It is loaded from the registry and asked before the alias moves.

    Args:
        settings: Which store and which registered model.
        to: The version, by number or alias.

    Raises:
        TrackingError: There is no champion, or no version before it, or it does not load, or the
            store is away.
    """
    champion = _version(settings, CHAMPION)
    before = to or champion.tags.get(PREVIOUS_CHAMPION)
    if before is None:
        raise TrackingError(
            f"version {champion.number} of {champion.model_name} took over from no other; name the version that shall "
            "be the champion: cfmodel rollback --to VERSION"
        )
    target = version_of(champion.tracking_uri, champion.model_name, before)
    if target.number == champion.number:
        raise TrackingError(f"version {target.number} of {target.model_name} is the champion already")
    check_version(target, recommender_of(target))
    now = datetime.now(UTC).isoformat(timespec="seconds")
    said = {"promotion.rolled_back_at": now, "promotion.rolled_back_to": target.number}
    tag_version(champion, said)
    told = read_run(champion.tracking_uri, champion.run_id)
    back = f"**rolled back** at {now}: version {target.number} took the place of version {champion.number} again"
    set_tags(told.run, said | _description(told, back))
    tag_version(target, {"promotion.restored_at": now, "promotion.restored_from": champion.number})
    set_alias(target, CHAMPION)
    return Rollback(target.model_name, target.number, champion.number)


def _require_other_than_champion(version: Version) -> None:
    if CHAMPION in version.aliases:
        raise TrackingError(f"version {version.number} of {version.model_name} is the champion already")


def _version(settings: PipelineSettings, wanted: str) -> Version:
    uri = resolve_uri(settings.tracking)
    if is_missing(uri):
        raise TrackingError(f"{shown(uri)}: there is no such store yet; run `cfmodel run` first, or set tracking.uri")
    return version_of(uri, settings.promotion.model_name, wanted)


def _compared(
    challenger: Version, champion: Version | None, run: RunSummary, settings: PipelineSettings
) -> "Comparison":
    from cfmodel.data.splitting.parts import read_split
    from cfmodel.promotion.measure import compare

    split_folder, _ = data_folders(run, settings.runtime.data_dir)
    return compare(
        recommender_of(challenger),
        None if champion is None else recommender_of(champion),
        read_split(split_folder),
        settings.promotion,
        trained_parts=train_settings_of(run).train.trained_parts,
        champion_split_digest=None if champion is None else champion.tags.get("split_digest"),
    )


def _check(challenger: Version, run: RunSummary, settings: PipelineSettings) -> None:
    """Ask the version from the registry what the model answers that training left on this machine."""
    from cfmodel.recommending.recommender import Recommender

    _, model_folder = data_folders(run, settings.runtime.data_dir)
    check_version(challenger, Recommender.load(model_folder))


def _write_down(decision: "Decision", challenger: Version, told: RunSummary) -> None:
    from cfmodel.promotion.decision_text import as_paragraph

    run = told.run
    tag_version(challenger, decision.tags(), description=decision.sentence())
    set_tags(run, decision.tags() | _description(told, as_paragraph(decision)))
    log_metrics(run, decision.metrics())
    name = decision.decided_at.replace(":", "").removesuffix("+0000")
    with reaching(run.tracking_uri, "recording the decision"):
        client(run.tracking_uri).log_text(run.run_id, decision.as_json(), f"promotion/{name}.json")


def _description(told: RunSummary, promotion: str) -> dict[str, str]:
    """Return a run's description with what is to be said of promotion by now."""
    return {DESCRIPTION: replace_promotion(told.tags.get(DESCRIPTION, ""), promotion)}


def _crown(challenger: Version, champion: Version | None) -> None:
    """Move the alias, unless somebody else moved it since the champion was looked up."""
    now = find_version(challenger.tracking_uri, challenger.model_name, CHAMPION)
    if (now and now.number) != (champion and champion.number):
        raise TrackingError(
            f"{challenger.model_name}: another version became the champion while this was decided; run "
            f"`cfmodel promote --version {challenger.number}` to hold it against that one"
        )
    if champion is not None:
        tag_version(challenger, {PREVIOUS_CHAMPION: champion.number})
    set_alias(challenger, CHAMPION)
    if CHALLENGER in challenger.aliases:
        remove_alias(challenger, CHALLENGER)
