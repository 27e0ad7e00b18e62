"""Challengers compared with champions in a real MLflow store, read back with its client."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from mlflow import MlflowClient
from teams import Team

from cfmodel import tracking
from cfmodel.config import IngestSettings, PipelineSettings, SplitSettings
from cfmodel.data.ingest.ingest import ingest
from cfmodel.data.splitting.parts import load_part
from cfmodel.data.splitting.split import split
from cfmodel.errors import DigestError, TrackingError
from cfmodel.refs import SplitRef
from cfmodel.tracking import Version


def test_the_first_challenger_better_than_damped_biases_becomes_champion(team: Team, client: MlflowClient) -> None:
    registered = team.challenger(epochs=6)
    assert str(client.get_model_version_by_alias(team.name, "challenger").version) == registered.number
    decision = tracking.promote(team.settings)
    assert decision.is_promotion
    assert team.champion() == registered.number
    assert "challenger" not in client.get_registered_model(team.name).aliases


def test_a_worse_challenger_is_refused_and_a_better_one_promoted(team: Team, client: MlflowClient) -> None:
    first = team.challenger(epochs=5)
    tracking.promote(team.settings)
    worse = team.challenger(epochs=2)
    refused = tracking.promote(team.settings)
    assert not refused.is_promotion
    assert refused.reasons[0].startswith("not better than the champion")
    assert team.champion() == first.number
    assert str(client.get_registered_model(team.name).aliases["challenger"]) == worse.number
    better = team.challenger(epochs=12)
    assert tracking.promote(team.settings).is_promotion
    assert team.champion() == better.number


def test_the_decision_is_on_the_run_and_on_the_version(team: Team, client: MlflowClient, tmp_path: Path) -> None:
    version = team.challenger(epochs=6)
    decision = tracking.promote(team.settings)
    run, recorded = client.get_run(version.run_id), client.get_model_version(team.name, version.number)
    assert decision.tags().items() <= run.data.tags.items()
    assert decision.tags().items() <= recorded.tags.items()
    assert recorded.description == decision.sentence()
    assert recorded.tags["split_digest"] == team.split().digest
    assert run.data.metrics["promotion/damped_bias_difference"] < 0
    written = [artifact.path for artifact in client.list_artifacts(version.run_id, "promotion")]
    local = client.download_artifacts(version.run_id, written[0], str(tmp_path))
    assert json.loads(Path(local).read_text())["verdict"] == "promoted"


def test_the_runs_description_says_what_was_decided_on_its_model(team: Team, client: MlflowClient) -> None:
    def promotion_of(version: Version) -> str:
        description = client.get_run(version.run_id).data.tags["mlflow.note.content"]
        assert description.startswith("Biased matrix factorisation of ")
        return description.partition("Promotion: ")[2]

    first = team.challenger(epochs=5)
    assert (
        promotion_of(first)
        == f"**not decided**: version 1 of {team.name} is the challenger; `cfmodel promote` decides\n"
    )
    tracking.promote(team.settings)
    rows = load_part(
        team.split(), "test", users=team.recommender_of(first).users, movies=team.recommender_of(first).movies
    )
    basis = f"{len(rows):,} ratings of {len(np.unique(rows.user_idx)):,} users that no model was trained on"
    assert promotion_of(first).startswith(
        f"**promoted**: version 1 of {team.name}, on {basis}\n- the first champion\n- RMSE "
    )
    worse = team.challenger(epochs=2)
    refused = tracking.promote(team.settings)
    found = refused.comparison.against_champion
    assert found is not None
    assert promotion_of(worse).startswith(
        f"**refused**: version 2 of {team.name}, compared with version 1, the champion, on {basis}\n- not better than"
    )
    assert f"difference {found.difference:+.4f} \\[{found.low:+.4f}, {found.high:+.4f}\\] (95%)" in promotion_of(worse)
    better = team.challenger(epochs=12)
    tracking.promote(team.settings)
    assert promotion_of(better).startswith(
        f"**promoted**: version 3 of {team.name}, compared with version 1, the champion"
    )
    tracking.rollback(team.settings)
    assert promotion_of(better).startswith("**rolled back** at ")
    assert promotion_of(better).endswith(": version 1 replaced version 3 again\n")


def test_an_unhealthy_training_is_refused(team: Team) -> None:
    team.challenger(epochs=6, health="error")
    decision = tracking.promote(team.settings)
    assert decision.reasons == ("its training has a health verdict of severity error",)
    assert team.champion() is None


def test_a_model_damaged_in_the_store_is_never_made_champion(team: Team) -> None:
    version = team.challenger(epochs=6)
    weights = next(Path(version.location.removeprefix("file://")).rglob("weights.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-8] + b"\0" * 8)
    with pytest.raises(DigestError, match="changed or damaged"):
        tracking.promote(team.settings)
    assert team.champion() is None


def test_a_model_whose_answers_differ_from_the_trained_ones_is_never_made_champion(team: Team) -> None:
    version, other = team.challenger(epochs=6), team.challenger(epochs=7)
    saved = team.folder / "models" / version.run_id
    team.recommender_of(other).save(saved)
    with pytest.raises(TrackingError, match="do not use it"):
        tracking.promote(team.settings, version.number)
    assert team.champion() is None


def test_rollback_restores_the_champion_before(team: Team, client: MlflowClient) -> None:
    first = team.challenger(epochs=4)
    tracking.promote(team.settings)
    second = team.challenger(epochs=12)
    tracking.promote(team.settings)
    done = tracking.rollback(team.settings)
    assert (done.version, done.replaced_version) == (first.number, second.number)
    assert team.champion() == first.number
    assert client.get_model_version(team.name, second.number).tags["promotion.rolled_back_to"] == first.number
    assert client.get_run(second.run_id).data.tags["promotion.rolled_back_to"] == first.number
    with pytest.raises(TrackingError, match="replaced no other version"):
        tracking.rollback(team.settings)
    assert tracking.rollback(team.settings, to=second.number).version == second.number


def test_a_champion_is_not_promoted_again_and_a_missing_version_is_named(team: Team) -> None:
    with pytest.raises(TrackingError, match="no version or alias 'challenger'"):
        tracking.promote(team.settings)
    version = team.challenger(epochs=6)
    tracking.promote(team.settings)
    with pytest.raises(TrackingError, match="is the champion already"):
        tracking.promote(team.settings, version.number)
    with pytest.raises(TrackingError, match="no version or alias '17'"):
        tracking.rollback(team.settings, to="17")


def test_the_model_of_a_finished_run_is_registered_later(team: Team) -> None:
    run, _ = team.trained(epochs=6)
    version = tracking.register_challenger_later(team.settings, run.run_id)
    assert (version.run_id, version.number) == (run.run_id, "1")
    assert tracking.promote(team.settings).is_promotion
    with pytest.raises(TrackingError, match=r"version 1 of .* is the champion already"):
        tracking.register_challenger_later(team.settings, run.run_id)
    tracking.reopen_run(run)
    with pytest.raises(TrackingError, match="is RUNNING, and only a finished run's model can be registered"):
        tracking.register_challenger_later(team.settings, run.run_id)


def other_ratings(team: Team, source: str) -> SplitRef:
    return split(ingest(source, IngestSettings(), folder=team.folder), SplitSettings(), folder=team.folder)


def test_a_challenger_of_another_catalogue_leaves_the_champion_and_has_a_name_of_its_own(team: Team) -> None:
    first = team.challenger(epochs=2)
    assert tracking.promote(team.settings).is_promotion
    other = other_ratings(team, "synthetic:users=200,movies=80,ratings=8000,seed=5")
    run, model = team.trained(epochs=12, parts=other)
    refused = tracking.promote(team.settings, tracking.register_challenger(run, model, team.settings.promotion))
    assert not refused.is_promotion
    assert refused.reasons[0].startswith("the champion is of another catalogue: it shares 0% of the ratings")
    assert team.champion() == first.number
    # The remedy, followed.
    own = PipelineSettings.of(team.settings.model_dump(), overrides={"promotion.model_name": f"{team.name}-other"})
    assert tracking.promote(own, tracking.register_challenger_later(own, run.run_id)).is_promotion
    assert tracking.rollback(team.settings, refused.version).replaced_version == first.number


def test_generated_ratings_never_challenge_a_model_of_real_ones(team: Team, tmp_path: Path) -> None:
    export = tmp_path / "ratings.csv"
    pq.read_table(team.split().data.path / "ratings.parquet").to_pandas().to_csv(export, index=False)  # type: ignore[union-attr]
    first = team.challenger(epochs=2, parts=other_ratings(team, str(export)), source=str(export))
    assert tracking.promote(team.settings).is_promotion
    team.challenger(epochs=12)
    refused = tracking.promote(team.settings)
    assert "it learned from generated ratings, the champion from real ratings" in refused.reasons[0]
    assert team.champion() == first.number


def test_without_a_name_real_and_generated_ratings_have_a_model_each(
    team: Team, make_mlflow_store: Callable[[Path], str], tmp_path: Path
) -> None:
    own = {"tracking": {"uri": make_mlflow_store(tmp_path)}, "promotion": {}}
    alone = Team(PipelineSettings.of(team.settings.model_dump() | own), team.folder)
    assert alone.challenger(epochs=2).model_name == "cfmodel-synthetic"
    assert tracking.promote(alone.settings).is_promotion
    assert tracking.load_model(alone.settings).name == "cfmodel-synthetic version 1 (champion)"
    assert alone.challenger(epochs=2, source="ratings.csv").model_name == "cfmodel"
    assert tracking.promote(alone.settings).is_promotion
    assert tracking.load_model(alone.settings).name == "cfmodel version 1 (champion)"
