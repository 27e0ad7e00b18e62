"""Register challengers, compare them with the champion, promote and roll back, and record every decision."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cfmodel.config import PipelineSettings, PromotionSettings, is_synthetic
from cfmodel.data.sources.titles import find_titles, read_titles
from cfmodel.errors import DataError, StoreAwayError, TrackingError
from cfmodel.summaries.run_description import escape_markdown, replace_promotion
from cfmodel.system.addresses import redact
from cfmodel.tracking.models.load import check_version, recommender_of
from cfmodel.tracking.models.registry import (
    CHALLENGER,
    CHAMPION,
    Version,
    find_among,
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
    from cfmodel.promotion.decision import Decision, ModelComparison
    from cfmodel.recommending.recommender import Recommender


@dataclass(frozen=True)
class Rollback:
    """The result of a rollback: the champion now, and the one it replaced."""

    model_name: str
    version: str
    replaced_version: str


def register_challenger(run: TrackedRun, model_uri: str, settings: PromotionSettings) -> Version:
    """Register a run's model as a version and make it the challenger, under the name for the run's source.

    Raises:
        TrackingError: It is the champion already.
    """
    summary = read_run(run.tracking_uri, run.run_id)
    model_name = settings.name_for(_source_of(summary))
    version = register(run, model_uri, model_name=model_name)
    _require_not_champion(version)
    set_alias(version, CHALLENGER)
    name = f"version {version.number} of {escape_markdown(model_name)}"
    undecided = f"**not decided**: {name} is the challenger; `cfmodel promote` decides"
    # Without the run's journal: the tags must be in the store when this returns.
    set_tags(summary.run, {"model_version": version.number} | _description(summary, undecided))
    return version


def register_challenger_later(settings: PipelineSettings, run: str) -> Version:
    """Register the model of a finished run as the challenger, if the run itself could not.

    Raises:
        TrackingError: There is no such run, it is not finished, it has no model, or its model is the champion.
    """
    found = find_run(settings.tracking, run)
    if found.status != "FINISHED":
        raise TrackingError(
            f"run {found.run.run_id} is {found.status}, and only a finished run's model can be registered; name one "
            "that `cfmodel runs` lists as finished"
        )
    return register_challenger(found.run, model_of(found.run), settings.promotion)


def promote(settings: PipelineSettings, wanted: str | Version = CHALLENGER) -> "Decision":
    """Compare a version with the champion, record the decision, and make the version champion if it is promoted.

    A champion of another catalogue is not compared with, and stays. Else both predict the same rows, on
    which neither was trained; `cfmodel.promotion` decides. Before the alias moves,
    the version is loaded from the registry and must give the trained model's answers. The decision is
    written to the run and to the version first.

    Args:
        settings: Which store, which registered model, which confidence.
        wanted: The version, or its number or alias.

    Raises:
        DataError: A model does not say which ratings it was trained on.
        DigestError: The version's split or model is no longer on this machine, or is damaged.
        TrackingError: There is no such version, it is the champion already, its model does not load or
            its answers differ, the champion changed meanwhile, or the store is away.
    """
    from cfmodel.promotion.decision import decide

    if isinstance(wanted, Version):  # as it is now: its aliases may have changed since it was looked up
        challenger = version_of(wanted.tracking_uri, wanted.model_name, wanted.number)
    else:
        challenger = _version(settings, wanted)
    _require_not_champion(challenger)
    champion = find_version(challenger.tracking_uri, challenger.model_name, CHAMPION)
    run = read_run(challenger.tracking_uri, challenger.run_id)
    decision = decide(
        _measure(challenger, champion, run, settings),
        settings.promotion,
        model_name=challenger.model_name,
        version=challenger.number,
        run_id=challenger.run_id,
        champion_version=None if champion is None else champion.number,
        health=run.tags.get("health.verdict"),
        decided_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    if decision.is_promotion:
        _check(challenger, run, settings)
    _record(decision, challenger, run)
    if decision.is_promotion:
        _make_champion(challenger, champion)
    return decision


def rollback(settings: PipelineSettings, to: str | None = None) -> Rollback:
    """Make an earlier version the champion again: the one that the champion replaced, or `to`, a number or alias.

    Before the alias moves, the version is loaded from the registry and its answers are checked.

    Raises:
        TrackingError: There is no champion, or no version before it, or it does not load.
    """
    champion = _version(settings, CHAMPION)
    before = to or champion.tags.get(PREVIOUS_CHAMPION)
    if before is None:
        raise TrackingError(
            f"version {champion.number} of {champion.model_name} replaced no other version; name the version to make "
            "champion: cfmodel rollback --to VERSION"
        )
    target = version_of(champion.tracking_uri, champion.model_name, before)
    if target.number == champion.number:
        raise TrackingError(
            f"version {target.number} of {target.model_name} is the champion already; name another: `cfmodel ui` lists "
            "them under Models"
        )
    check_version(target, recommender_of(target))
    now = datetime.now(UTC).isoformat(timespec="seconds")
    tags = {"promotion.rolled_back_at": now, "promotion.rolled_back_to": target.number}
    tag_version(champion, tags)
    summary = read_run(champion.tracking_uri, champion.run_id)
    back = f"**rolled back** at {now}: version {target.number} replaced version {champion.number} again"
    set_tags(summary.run, tags | _description(summary, back))
    tag_version(target, {"promotion.restored_at": now, "promotion.restored_from": champion.number})
    set_alias(target, CHAMPION)
    return Rollback(target.model_name, target.number, champion.number)


def _require_not_champion(version: Version) -> None:
    if CHAMPION in version.aliases:
        raise TrackingError(
            f"version {version.number} of {version.model_name} is the champion already; name another, or run "
            "`cfmodel run` for a new one"
        )


def _version(settings: PipelineSettings, wanted: str) -> Version:
    uri = resolve_uri(settings.tracking)
    if is_missing(uri):
        raise TrackingError(f"{redact(uri)}: there is no such store yet; run `cfmodel run` first, or set tracking.uri")
    found = find_among(uri, settings.promotion, wanted)
    return found or version_of(uri, settings.promotion.name_for(""), wanted)


def _measure(
    challenger: Version, champion: Version | None, run: RunSummary, settings: PipelineSettings
) -> "ModelComparison":
    from cfmodel.data.splitting.parts import read_split
    from cfmodel.promotion.measure import compare_models

    split_folder, _ = data_folders(run, settings.runtime.data_dir)
    learned, before = recommender_of(challenger), None if champion is None else recommender_of(champion)
    return compare_models(
        learned,
        before,
        read_split(split_folder),
        settings.promotion,
        trained_parts=train_settings_of(run).train.trained_parts,
        champion_split_digest=None if champion is None else champion.tags.get("split_digest"),
        other_lineage=None
        if champion is None or before is None
        else _other_lineage(learned, run, before, champion, settings),
    )


def _other_lineage(
    challenger: "Recommender", run: RunSummary, champion: "Recommender", version: Version, settings: PipelineSettings
) -> str | None:
    """Return why the champion is of another catalogue than the challenger, None if it is not."""
    from cfmodel.promotion.lineage import other_lineage

    sources = [_source_of(run), _source_of_version(version)]
    if sources[1] and is_synthetic(sources[0]) != is_synthetic(sources[1]):
        kinds = ["generated ratings" if is_synthetic(each) else "real ratings" for each in sources]
        return f"it learned from {kinds[0]}, the champion from {kinds[1]}"
    if version.tags.get("data_digest") == run.tags.get("data_digest"):
        return None
    titles = [_titles_of(each, settings) for each in sources]
    return other_lineage(challenger, champion, titles=(titles[0], titles[1]))


def _titles_of(source: str, settings: PipelineSettings) -> Mapping[str, str]:
    """Return the titles beside a source, none if they cannot be read: the ratings alone tell most."""
    path = find_titles(source, folder=settings.runtime.data_dir) if source else None
    with suppress(DataError):
        return {} if path is None else read_titles(path)
    return {}


def _source_of_version(version: Version) -> str:
    """Return the source of a version's run; nothing if that run was deleted for good."""
    try:
        return _source_of(read_run(version.tracking_uri, version.run_id))
    except StoreAwayError:
        raise
    except TrackingError:
        return ""


def _source_of(run: RunSummary) -> str:
    return run.params.get("source", "")


def _check(challenger: Version, run: RunSummary, settings: PipelineSettings) -> None:
    """Compare the answers of the registered version with those of the model that training saved on this machine."""
    from cfmodel.recommending.recommender import Recommender

    _, model_folder = data_folders(run, settings.runtime.data_dir)
    check_version(challenger, Recommender.load(model_folder))


def _record(decision: "Decision", challenger: Version, summary: RunSummary) -> None:
    from cfmodel.promotion.decision_text import decision_paragraph

    run = summary.run
    tag_version(challenger, decision.tags(), description=decision.sentence())
    set_tags(run, decision.tags() | _description(summary, decision_paragraph(decision)))
    log_metrics(run, decision.metrics())
    name = decision.decided_at.replace(":", "").removesuffix("+0000")
    with reaching(run.tracking_uri, "recording the decision"):
        client(run.tracking_uri).log_text(run.run_id, decision.as_json(), f"promotion/{name}.json")


def _description(summary: RunSummary, promotion: str) -> dict[str, str]:
    """Return the tag with a run's description and its paragraph about promotion."""
    return {DESCRIPTION: replace_promotion(summary.tags.get(DESCRIPTION, ""), promotion)}


def _make_champion(challenger: Version, champion: Version | None) -> None:
    """Move the alias, unless it was moved since the champion was looked up."""
    now = find_version(challenger.tracking_uri, challenger.model_name, CHAMPION)
    if (now and now.number) != (champion and champion.number):
        raise TrackingError(
            f"{challenger.model_name}: another version became the champion meanwhile; run "
            f"`cfmodel promote --version {challenger.number}` to compare with that one"
        )
    if champion is not None:
        tag_version(challenger, {PREVIOUS_CHAMPION: champion.number})
    set_alias(challenger, CHAMPION)
    if CHALLENGER in challenger.aliases:
        remove_alias(challenger, CHALLENGER)
