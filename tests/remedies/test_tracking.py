"""Remedies of refusals of the tracking store, the registered models and the journals, followed."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
from click.testing import CliRunner
from epochs import epoch
from filelock import FileLock
from following import refused
from mlflow import MlflowClient
from mlflow_servers import free_address
from refusals import remedy_of
from teams import Team

from cfmodel import tracking
from cfmodel.cli import main
from cfmodel.column_statistics import RatingScale
from cfmodel.config import PipelineSettings, TrackingSettings
from cfmodel.errors import CheckpointError
from cfmodel.model import CollaborativeFiltering
from cfmodel.recommending.recommender import Recommender
from cfmodel.refs import SplitRef
from cfmodel.tracking import Journal, Run
from cfmodel.tracking.models.load import check_version, recommender_of
from cfmodel.tracking.models.promotions import _make_champion
from cfmodel.tracking.outbox.deliver import DeliveryProgress, deliver
from cfmodel.tracking.outbox.entries import Param, Point, is_redundant
from cfmodel.tracking.recorded_model import load_recommender, model_of, record_model
from cfmodel.tracking.runs.leases import Heartbeat, Lease, require_free
from cfmodel.tracking.runs.sync import require_recorded
from cfmodel.tracking.store import reaching
from cfmodel.training.resuming.checkpoints import CheckpointFolder

BAD = {"not/allowed?": 1.0}


def settings_of(uri: str, data_dir: Path, **more: str) -> PipelineSettings:
    own = {"tracking.uri": uri, "runtime.data_dir": str(data_dir), "tracking.experiment": f"e-{uuid4().hex}"}
    return PipelineSettings.of(overrides=own | more)


@pytest.fixture
def settings(mlflow_store: str, tmp_path: Path) -> PipelineSettings:
    return settings_of(mlflow_store, tmp_path)


@pytest.fixture
def begun(settings: PipelineSettings, tmp_path: Path) -> Run:
    """A run with a journal."""
    return tracking.start_run(settings.tracking, journals=tmp_path / "spool")


def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("outbox.deliver.RETRY_SECONDS", "outbox.deliver._LOCK_SECONDS", "runs.sync._PAUSE_SECONDS"):
        monkeypatch.setattr(f"cfmodel.tracking.{name}", 0.05)


@remedy_of("cfmodel/tracking/models/load.py", "there is no such store yet")
@remedy_of("cfmodel/tracking/models/promotions.py", "there is no such store yet")
@remedy_of("cfmodel/tracking/runs/find_runs.py", "there is no such store yet")
@remedy_of("cfmodel/tracking/runs/find_runs.py", "experiment {} has {}; run `cfmodel run` first")
@remedy_of("cfmodel/tracking/runs/find_runs.py", "give more characters")
@remedy_of("cfmodel/tracking/models/promotions.py", "only a finished run's model can be registered")
@remedy_of("cfmodel/tracking/recorded_model.py", "has no recorded model; choose another")
@remedy_of("cfmodel/tracking/runs/find_runs.py", "has no data sets; choose a run of `cfmodel run`")
def test_a_store_with_a_run_of_cfmodel_has_what_is_looked_for(team: Team, tmp_path: Path) -> None:
    missing = settings_of(f"sqlite:///{tmp_path}/absent.db", tmp_path)
    for ask in (tracking.load_model, tracking.promote, lambda given: tracking.find_run(given.tracking)):
        with refused("there is no such store yet; run `cfmodel run` first, or set tracking.uri"):
            ask(missing)  # type: ignore[operator]
    with refused("has no finished run; run `cfmodel run` first, or look them up with `cfmodel ui`"):
        tracking.find_run(team.settings.tracking)
    run, _ = team.trained(epochs=1)
    assert tracking.find_run(team.settings.tracking).run.run_id == run.run_id
    assert tracking.load_model(team.settings).run.run.run_id == run.run_id
    bare = [tracking.start_run(team.settings.tracking) for _ in range(20)]
    starts = [each.run_id[0] for each in bare]
    twice = next(start for start in starts if starts.count(start) > 1)
    with refused(f"several runs have an id that starts with {twice!r}", "give more characters"):
        tracking.find_run(team.settings.tracking, twice)
    assert tracking.find_run(team.settings.tracking, bare[0].run_id[:20])
    with refused("only a finished run's model can be registered; name one that `cfmodel runs` lists as finished"):
        tracking.register_challenger_later(team.settings, bare[0].run_id)
    tracking.end_run(bare[0])
    with refused("has no recorded model; choose another, or run `cfmodel run`"):
        tracking.register_challenger_later(team.settings, bare[0].run_id)
    with refused("has no data sets; choose a run of `cfmodel run`"):
        tracking.data_folders(tracking.read_run(bare[0].tracking_uri, bare[0].run_id), tmp_path)
    assert tracking.register_challenger_later(team.settings, run.run_id)
    assert tracking.data_folders(tracking.find_run(team.settings.tracking, run.run_id), team.folder)


@remedy_of("cfmodel/tracking/runs/find_runs.py", "run the pipeline again here")
def test_a_run_of_this_machine_has_its_data(team: Team, parts: SplitRef, tmp_path: Path) -> None:
    run = tracking.start_run(team.settings.tracking)
    tracking.log_split(run, parts)
    with refused("or the run is of another machine; run the pipeline again here"):
        tracking.data_folders(tracking.read_run(run.tracking_uri, run.run_id), tmp_path)
    again, _ = team.trained(epochs=1)
    assert tracking.data_folders(tracking.read_run(again.tracking_uri, again.run_id), team.folder)


@remedy_of("cfmodel/tracking/models/promotions.py", "is the champion already; name another, or run `cfmodel run`")
@remedy_of("cfmodel/tracking/models/promotions.py", "is the champion already; name another: `cfmodel ui`")
@remedy_of("cfmodel/tracking/models/promotions.py", "cfmodel rollback --to VERSION")
@remedy_of("cfmodel/tracking/models/promotions.py", "another version became the champion meanwhile")
def test_another_version_is_promoted_and_rolled_back_to(team: Team) -> None:
    first, second = team.challenger(epochs=2), team.challenger(epochs=1)
    assert tracking.promote(team.settings, first.number).is_promotion
    with refused("is the champion already; name another, or run `cfmodel run` for a new one"):
        tracking.promote(team.settings, first.number)
    with refused("replaced no other version; name the version to make champion: cfmodel rollback --to VERSION"):
        tracking.rollback(team.settings)
    with refused("is the champion already; name another: `cfmodel ui` lists them under Models"):
        tracking.rollback(team.settings, first.number)
    assert not tracking.promote(team.settings, second.number).is_promotion
    assert tracking.rollback(team.settings, second.number).replaced_version == first.number
    with refused("run `cfmodel promote --version") as raised:
        _make_champion(first, first)
    (number,) = re.findall(r"--version (\d+)`", str(raised.value))
    assert tracking.promote(team.settings, number).champion_version == second.number


@remedy_of("cfmodel/tracking/models/load.py", "refusal_of(version.tracking_uri, version.uri, difference)")
@remedy_of("cfmodel/tracking/recorded_model.py", "refusal_of(run.tracking_uri, uri, difference)")
@remedy_of("cfmodel/tracking/recorded_model.py", "is not one of cfmodel's; choose another")
@remedy_of("cfmodel/tracking/recorded_model.py", "the model cannot be recorded: {}")
def test_a_model_that_is_recorded_again_gives_its_answers(team: Team, tmp_path: Path) -> None:
    version = team.challenger(epochs=1)
    made, run = recommender_of(version), tracking.find_run(team.settings.tracking).run
    sizes = len(made.users), len(made.movies), made.model.embedding_dim
    other = replace(made, model=CollaborativeFiltering(*sizes, scale=RatingScale(-50.0), init_std=0.0))
    uri = model_of(run)
    for check in (lambda: check_version(version, other), lambda: tracking.check_model(run, uri, other)):
        with refused("do not use it, and record it again"):
            check()
    folder = tmp_path / "saved"
    (folder).mkdir()
    with refused("the model cannot be recorded", "model.json: cannot be read", "save the recommender again"):
        record_model(run, folder, digest="0" * 64)
    again = record_model(run, folder, digest=made.save(folder))
    tracking.check_model(run, f"models:/{again}", made)
    store = MlflowClient(run.tracking_uri)
    location = store.get_logged_model(again).artifact_location
    strange = tmp_path / "strange"
    strange.mkdir()
    (strange / "MLmodel").write_text("flavors:\n  python_function:\n    loader_module: other\n    data: x\n")
    with refused("is not one of cfmodel's; choose another"):
        load_recommender(run.tracking_uri, strange.as_uri())
    assert isinstance(load_recommender(run.tracking_uri, location), Recommender)


@remedy_of("cfmodel/tracking/outbox/entries.py", "start another run")
@remedy_of("cfmodel/tracking/outbox/log_entries.py", "str(error)")
@remedy_of("cfmodel/tracking/outbox/log_entries.py", "free some space and run again")
@remedy_of("cfmodel/tracking/outbox/log_entries.py", "progress.refused[0]")
def test_what_another_run_or_another_name_or_some_space_records(
    settings: PipelineSettings, begun: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cfmodel.errors import DiskFullError

    with refused("cannot become 'b'; start another run"):
        is_redundant(Param("x", "b"), Param("x", "a"))
    assert not is_redundant(Param("x", "b"), None)
    bare = tracking.start_run(settings.tracking)
    with refused("recording failed", "Names may only contain"):
        tracking.log_metrics(bare, BAD)
    tracking.log_metrics(bare, {"allowed": 1.0})

    for error in (OSError(28, "No space left on device", "spool"), DiskFullError("spool: full; free some space")):

        def full(*_: object, error: Exception = error) -> None:
            raise error

        with monkeypatch.context() as patched:
            patched.setattr(Journal, "append", full)
            with refused("spool: ", "free some space"):
                tracking.log_metrics(begun, {"a": 1.0})
        tracking.log_metrics(begun, {"a": 1.0})


@remedy_of("cfmodel/tracking/outbox/journal.py", "move the folder away to give up its records")
@remedy_of("cfmodel/tracking/outbox/entries.py", "a line of the journal is incomplete or changed")
@remedy_of("cfmodel/tracking/outbox/deliver.py", "cannot be read ({}); move {} away to give up the run")
@remedy_of("cfmodel/tracking/outbox/deliver.py", "does not say how the run began")
def test_a_damaged_journal_that_is_moved_away_holds_nothing_up(
    settings: PipelineSettings, begun: Run, tmp_path: Path
) -> None:
    from cfmodel.tracking.outbox.entries import from_line

    assert begun.journal_folder is not None
    tracking.log_metrics(begun, {"a": 1.0})
    with refused("a line of the journal is incomplete or changed; move its folder away"):
        from_line(b"0 {}\n")
    journal = begun.journal_folder / "journal.jsonl"
    journal.write_bytes(b"x" + journal.read_bytes()[1:])
    with refused("damaged at byte 0", "move the folder away to give up its records"):
        Journal(begun.journal_folder).since(0)
    without = tmp_path / "without"
    Journal(without).append([Point("a", 1.0, 0, 0)])
    DeliveryProgress(begun.tracking_uri).write(without)
    with refused("does not say how the run began; move it away"):
        deliver(Journal(without), begun.tracking_uri)
    (begun.journal_folder / "sent.json").write_text("{")
    with refused("cannot be read", f"move {begun.journal_folder} away to give up the run"):
        DeliveryProgress.read(begun.journal_folder)
    begun.journal_folder.rename(tmp_path / "away")
    assert list(tracking.sync(settings.tracking, tmp_path / "spool")) == []


@remedy_of("cfmodel/tracking/outbox/deliver.py", "another process has been sending this for a minute")
@remedy_of("cfmodel/tracking/outbox/deliver.py", "restore it there, or move {} away to give up its records")
@remedy_of("cfmodel/tracking/outbox/training_metrics.py", "entries about run {} were not recorded")
def test_a_run_that_is_restored_in_the_store_takes_its_records(
    settings: PipelineSettings, begun: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    quickly(monkeypatch)
    assert begun.journal_folder is not None
    journal, store = Journal(begun.journal_folder), MlflowClient(begun.tracking_uri)
    another = FileLock(begun.journal_folder / "delivery.lock")
    with another, refused("another process has been sending this for a minute; let it end, then: cfmodel sync"):
        deliver(journal, begun.tracking_uri)
    store.delete_run(begun.run_id)
    journal.append([Point("train/loss", 1.0, 1, 0)])
    with refused("the store no longer has run", "restore it there, or move"):
        deliver(journal, begun.tracking_uri)
    store.restore_run(begun.run_id)
    done = CliRunner().invoke(main, ["sync", "--set", f"tracking.uri={begun.tracking_uri}", *_here(begun)])
    assert done.exit_code == 0, done.output
    assert store.get_metric_history(begun.run_id, "train/loss")
    bare = tracking.start_run(settings.tracking)
    with refused("entries about run", "were not recorded; the training is not affected"):  # noqa: SIM117
        with tracking.recorder(bare) as record:
            store.delete_run(bare.run_id)
            record(replace(epoch(1), grad_norms={}))
    store.restore_run(bare.run_id)
    with tracking.recorder(bare) as record:
        record(epoch(1))


def _here(run: Run) -> list[str]:
    assert run.journal_folder is not None
    return ["--set", f"runtime.data_dir={run.journal_folder.parent.parent}"]


@remedy_of("cfmodel/tracking/runs/sync.py", "the run can be used without these")
@remedy_of("cfmodel/tracking/outbox/training_metrics.py", "{}: {}; all others are in the store")
def test_a_run_with_a_record_refused_is_used_without_it(settings: PipelineSettings, begun: Run) -> None:
    bare = tracking.start_run(settings.tracking)
    with refused("; all others are in the store"), tracking.recorder(bare) as record:
        record(replace(epoch(1), grad_norms={"not allowed?": 1.0}))
    assert tracking.read_run(bare.tracking_uri, bare.run_id).metrics["train/loss"] == 1.0
    tracking.log_metrics(begun, BAD | {"good": 2.0})
    with refused("1 of its records were refused", "all others are in the store, and the run can be used without these"):
        require_recorded(begun, wait_seconds=0)
    assert tracking.read_run(begun.tracking_uri, begun.run_id).metrics["good"] == 2.0


@remedy_of("cfmodel/tracking/runs/sync.py", "_still_away(journal, away)")
@remedy_of("cfmodel/tracking/runs/lifecycle.py", "set tracking.uri (or MLFLOW_TRACKING_URI) to the former")
@remedy_of("cfmodel/commands/sync.py", "mend what is named above, then: cfmodel sync")
def test_records_are_sent_once_their_store_is_named_and_back(
    mlflow_store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quickly(monkeypatch)
    away = TrackingSettings(uri=free_address(), experiment=f"e-{uuid4().hex}")
    run = tracking.start_run(away, journals=tmp_path / "spool")
    with refused("Nothing is lost", "When the store is back: cfmodel sync --set runtime.data_dir=") as raised:
        require_recorded(run, wait_seconds=0)
    command = str(raised.value).rpartition("is back: cfmodel ")[2].split()
    refusal = CliRunner().invoke(main, [*command, "--set", f"tracking.uri={mlflow_store}"])
    assert f"is a run of {away.uri}, not of {mlflow_store}; set tracking.uri" in refusal.output
    assert "mend what is named above, then: cfmodel sync" in refusal.output
    assert run.journal_folder is not None
    # The store is back: here, the address is another's.
    DeliveryProgress.read(run.journal_folder).update(run.journal_folder, store=mlflow_store, retry_at=0.0)
    done = CliRunner().invoke(main, [*command, "--set", f"tracking.uri={mlflow_store}"])
    assert done.exit_code == 0, done.output


@remedy_of("cfmodel/tracking/runs/leases.py", "_held(run, str(beat or 'another process on this machine'))")
@remedy_of("cfmodel/tracking/runs/leases.py", "_held(self._run, 'another process on this machine')")
@remedy_of("cfmodel/tracking/runs/leases.py", "s after its last heartbeat the run is free")
def test_a_run_whose_process_ended_is_free(begun: Run, tmp_path: Path) -> None:
    folder = tmp_path / "lease"
    with Lease(begun, folder):
        with refused("cannot be resumed now; let it end, or end it, first"):
            require_free(begun, {}, folder)
        with refused("let it end, or end it, first"), Lease(begun, folder):
            pass
    require_free(begun, {}, folder)
    beat = replace(Heartbeat.now(), system="another machine")
    with refused("If that process is gone, wait: 120 s after its last heartbeat the run is free"):
        require_free(begun, beat.as_tag(), tmp_path / "elsewhere")
    require_free(begun, replace(beat, time=beat.time - 121).as_tag(), tmp_path / "elsewhere")


@remedy_of("cfmodel/tracking/runs/resuming.py", "A finished run has no checkpoints")
@remedy_of("cfmodel/tracking/runs/resuming.py", "it is finished; start another without --resume")
@remedy_of("cfmodel/tracking/runs/resuming.py", "{}; start another without --resume")
@remedy_of("cfmodel/commands/run.py", "leave that out, or start a new run without --resume")
def test_a_run_with_its_own_settings_is_resumed_and_another_started(settings: PipelineSettings, tmp_path: Path) -> None:
    from cfmodel.commands.run import _source_and_settings_of

    identity = {"code_digest": "c"}

    def opened(resume: str | None = None, **changed: str) -> str:
        with tracking.opened_run("ratings.csv", settings, identity=identity | changed, resume=resume) as run:
            CheckpointFolder(run.folder).write({"training": {}})
            if resume is None and not changed:
                raise KeyboardInterrupt
            tracking.end_run(run.run)
        return run.run.run_id

    with pytest.raises(KeyboardInterrupt):
        opened()
    (journal,) = (tmp_path / "spool").iterdir()
    stopped = journal.name
    more = PipelineSettings.of(settings.model_dump(), overrides={"train.epochs": 99})
    with refused("source, train would differ; leave that out, or start a new run without --resume"):
        _source_and_settings_of(stopped, "other.csv", more)
    assert _source_and_settings_of(stopped, None, settings)[0] == "ratings.csv"
    elsewhere = PipelineSettings.of(settings.model_dump(), overrides={"runtime.data_dir": str(tmp_path / "other")})
    with refused("if it had another runtime.data_dir, set that"):
        tracking.inputs_of(elsewhere, stopped)
    assert tracking.inputs_of(settings, stopped)[0] == "ratings.csv"
    with pytest.raises(CheckpointError, match=r"code_digest was c and is d; start another without --resume"):
        opened(stopped, code_digest="d")
    assert opened(stopped) == stopped
    with refused("it is finished; start another without --resume"):
        opened(stopped)
    assert opened(code_digest="new") != stopped


@remedy_of("cfmodel/tracking/runs/list_runs.py", "deploy from here with `make deploy`, or let machines share a server")
@remedy_of("cfmodel/tracking/store.py", "redact(f'{message}; {_remedy(uri)}')")
@remedy_of("cfmodel/tracking/store.py", "redact(message if refused else f'{message}; {_remedy(uri)}')")
@remedy_of("cfmodel/tracking/store.py", "this account cannot write there; {}")
def test_a_store_that_is_named_instead_is_there(
    mlflow_store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with refused("deploy from here with `make deploy`, or let machines share a server: export MLFLOW_TRACKING_URI="):
        tracking.require_store(f"sqlite:///{tmp_path}/absent.db")
    tracking.require_store(f"sqlite:///{tmp_path}/absent.db", create=True)  # as `make deploy` does
    away = free_address()
    with refused("start the server there, or set tracking.uri (or MLFLOW_TRACKING_URI) to one that runs"):
        tracking.require_store(away)
    tracking.require_store(mlflow_store)
    (tmp_path / "notes.db").write_text("not a database, but a text of more than a hundred characters" * 3)
    with refused(
        "file is not a database; let this account write there, or set tracking.uri to another, such as"
    ) as raised:
        tracking.start_run(TrackingSettings(uri=f"sqlite:///{tmp_path}/notes.db"))
    (such,) = re.findall(r"such as (sqlite:\S+)", str(raised.value))
    assert os.access(Path(such.removeprefix("sqlite:///")).parent, os.W_OK)
    with refused("Run with id=absent not found"), reaching(mlflow_store, "x"):
        MlflowClient(mlflow_store).get_run("absent")
    (tmp_path / "file").touch()
    with refused("this account cannot write there; let this account write there, or set tracking.uri to another"):
        tracking.require_room(TrackingSettings(uri=f"sqlite:///{tmp_path}/file/mlflow.db"))
    tracking.require_room(TrackingSettings(uri=f"sqlite:///{tmp_path}/mlflow.db"))


@remedy_of("cfmodel/tracking/store.py", "was deleted, and MLflow records no run in it")
def test_a_deleted_experiment_has_both_ways_out(
    make_mlflow_store: Callable[[Path], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    settings = settings_of(make_mlflow_store(tmp_path), tmp_path, **{"tracking.experiment": "films"})
    tracking.end_run(tracking.start_run(settings.tracking))
    store = MlflowClient(settings.tracking.uri)
    store.delete_experiment(store.get_experiment_by_name("films").experiment_id)
    with refused("experiment 'films' was deleted", "set tracking.experiment") as raised:
        tracking.require_room(settings.tracking)
    of_films = ["--set", f"tracking.uri={settings.tracking.uri}", "--set", "tracking.experiment=films"]
    for command in (["runs"], ["explain"], ["compare", "one", "two"]):
        assert "experiment 'films' was deleted" in CliRunner().invoke(main, [*command, *of_films]).output
    tracking.require_room(settings.tracking.model_copy(update={"experiment": "another"}))
    (command,) = re.findall(r"restore it: (.*?);", str(raised.value))
    assert re.search(r"mlflow experiments restore --experiment-id \d+$", command)
    found = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    subprocess.run(command, shell=True, check=True, env=os.environ | found, capture_output=True)
    tracking.require_room(settings.tracking)
    tracking.start_run(settings.tracking)


def test_the_experiment_is_that_of_the_setting_else_of_mlflows_variable(
    mlflow_store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = TrackingSettings(uri=mlflow_store)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", name := f"team-{uuid4().hex}")
    run = tracking.start_run(settings)
    assert MlflowClient(mlflow_store).get_experiment(run.experiment_id).name == name
    assert tracking.experiment_of(settings.model_copy(update={"experiment": "films"})) == "films"
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME")
    assert tracking.experiment_of(settings) == "cfmodel"
    shown = CliRunner().invoke(
        main, ["runs", "--set", f"tracking.uri={mlflow_store}", "--set", "tracking.experiment=x"]
    )
    assert "no runs in experiment 'x' yet; start one with `cfmodel run`, or set tracking.experiment: " in shown.output
