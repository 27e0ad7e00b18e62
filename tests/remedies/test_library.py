"""Remedies of refusals in the library's smaller rooms, followed."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from following import refused
from made_reports import compared_run
from refusals import remedy_of

from cfmodel.baselines import damped_bias, fit_damped_biases
from cfmodel.config import PipelineSettings
from cfmodel.data.splitting.parts import RatingArrays, load_part
from cfmodel.evaluation.evaluate import evaluate
from cfmodel.evaluation.read_split import read_evaluation_ratings
from cfmodel.gradients.health.early_stop import require_health
from cfmodel.gradients.health.verdicts import HealthReport
from cfmodel.gradients.recording.archive import read_archive, write_archive
from cfmodel.gradients.report.comparison import RunComparison
from cfmodel.model import CollaborativeFiltering
from cfmodel.promotion.bootstrap import paired_bootstrap
from cfmodel.promotion.comparison_rows import common_rows
from cfmodel.recommending.recommender import Recommender
from cfmodel.refs import SplitRef
from cfmodel.system import atomic


def ratings(*users: int) -> RatingArrays:
    rows = np.array(users, np.int32)
    return RatingArrays(rows, np.zeros(len(rows), np.int32), np.ones(len(rows), np.float32))


@remedy_of("cfmodel/config.py", "_unknown(dotted)")
@remedy_of("cfmodel/config.py", "_refusal(error)")
def test_a_setting_that_is_none_has_one_that_was_meant_and_a_range() -> None:
    with refused("train.epoch is not a setting; did you mean train.epochs?"):
        PipelineSettings.of(overrides={"train.epoch": 5})
    with refused("train.epochs.x is not a setting; did you mean train.epochs?"):
        PipelineSettings.of({"train": {"epochs": 5}}, overrides={"train.epochs.x": 5})
    with refused("train.epochs: input should be greater than or equal to 1 (given: 0)"):
        PipelineSettings.of(overrides={"train.epochs": 0})
    assert PipelineSettings.of(overrides={"train.epochs": 1}).train.epochs == 1


@remedy_of("cfmodel/config.py", "{}: no such settings file")
@remedy_of("cfmodel/config.py", "{}: not a TOML file: {}")
def test_a_settings_file_that_is_there_and_is_toml_is_read(tmp_path: Path) -> None:
    with refused("x.toml: no such settings file"):
        PipelineSettings.read(tmp_path / "x.toml")
    (tmp_path / "x.toml").write_text("[train\nepochs = 3\n")
    with refused("x.toml: not a TOML file: Expected ']'", "line 1, column 7"):
        PipelineSettings.read(tmp_path / "x.toml")
    (tmp_path / "x.toml").write_text("[train]\nepochs = 3\n")
    assert PipelineSettings.read(tmp_path / "x.toml").train.epochs == 3


@remedy_of("cfmodel/baselines.py", "damping must be 0 or more ratings")
def test_damping_of_0_or_more() -> None:
    sums, counts = torch.ones(2, dtype=torch.float64), torch.ones(2, dtype=torch.int64)
    with refused("damping must be 0 or more"):
        damped_bias(sums, counts, damping=-1)
    damped_bias(sums, counts, damping=0)


@remedy_of("cfmodel/baselines.py", "biases cannot be fitted to 0 ratings")
@remedy_of("cfmodel/baselines.py", "have a user or movie outside the vocabulary")
def test_biases_are_fitted_to_the_training_part_of_the_vocabulary(parts: SplitRef, trained: Recommender) -> None:
    size = {"num_users": len(trained.users), "num_movies": len(trained.movies)}
    size |= {"damping_user": 5, "damping_movie": 5}
    with refused("give the ratings of the training part"):
        fit_damped_biases(ratings(), **size)
    with refused("1 of 2 training ratings", "fit biases to the part that the vocabulary comes from"):
        fit_damped_biases(ratings(0, -1), **size)
    train = load_part(parts, "train", users=trained.users, movies=trained.movies)
    assert len(fit_damped_biases(train, **size).user_biases) == len(trained.users)


@remedy_of("cfmodel/model.py", "a model needs at least one user")
def test_a_model_of_one_of_each() -> None:
    with refused("at least one user, one movie and one dimension"):
        CollaborativeFiltering(0, 1, 1)
    CollaborativeFiltering(1, 1, 1)


@remedy_of("cfmodel/promotion/bootstrap.py", "a bootstrap needs 1 resample or more")
@remedy_of("cfmodel/promotion/bootstrap.py", "two models cannot be compared on 0 rows")
def test_a_bootstrap_of_a_resample_and_of_rows() -> None:
    rows = np.arange(3), np.ones(3), np.zeros(3)
    with refused("1 resample or more, not 0, and a confidence between 0 and 1, not 1"):
        paired_bootstrap(*rows, resamples=0, confidence=1.0, seed=0)
    with refused("0 rows; give ratings that neither was trained on"):
        paired_bootstrap(*(each[:0] for each in rows), resamples=1, confidence=0.5, seed=0)
    paired_bootstrap(*rows, resamples=1, confidence=0.5, seed=0)


@remedy_of("cfmodel/promotion/comparison_rows.py", "does not say which ratings it was trained on")
def test_a_model_trained_again_says_what_it_was_trained_on(parts: SplitRef, trained: Recommender) -> None:
    old = Recommender(trained.model, trained.users, trained.movies, 1.0, 5.0)
    with refused("train it again"):
        common_rows(parts, old)
    assert common_rows(parts, trained).users > 0


@remedy_of("cfmodel/evaluation/read_split.py", "the test part has 0 ratings")
def test_a_split_with_a_test_part_is_evaluated(parts: SplitRef, trained: Recommender, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    from cfmodel.data.storage import digest_of_parts

    folder = tmp_path / "split"
    folder.mkdir()
    for file in parts.path.glob("*.parquet"):
        table = pq.read_table(file)
        pq.write_table(table.slice(0, 0) if file.stem == "test" else table, folder / file.name)
    empty = parts.model_copy(update={"path": folder, "digest": digest_of_parts(folder)})
    needed = {"trained_parts": ("train",), "seen_parts": ()}
    with refused("raise split.test_fraction"):
        read_evaluation_ratings(trained, empty, **needed)
    assert len(read_evaluation_ratings(trained, parts, **needed).test)


@remedy_of("cfmodel/evaluation/evaluate.py", "test predictions are not finite")
@pytest.mark.filterwarnings("ignore:.*encountered")
def test_a_model_trained_at_a_lower_rate_is_evaluated(parts: SplitRef, trained: Recommender) -> None:
    from copy import deepcopy
    from dataclasses import replace

    broken = replace(trained, model=deepcopy(trained.model))
    with torch.no_grad():
        broken.model.user_biases.weight.fill_(float("nan"))
    settings = PipelineSettings().evaluation
    with refused("test predictions are not finite", "a lower train.learning_rate"):
        evaluate(broken, parts, settings)
    assert evaluate(trained, parts, settings).metrics["test/rmse"] > 0


@remedy_of("cfmodel/evaluation/identifiers.py", "distinct ids")
def test_test_ratings_that_name_users_as_the_training_ratings_do(parts: SplitRef, trained: Recommender) -> None:
    from dataclasses import replace

    from cfmodel.data.vocabulary import Vocabulary

    other = replace(trained, users=Vocabulary.of([f"user-{id}" for id in trained.users.ids.to_pylist()]))
    with refused("are unknown to the model", "give test ratings that name users and movies as the training ratings do"):
        evaluate(other, parts, PipelineSettings().evaluation)
    evaluate(trained, parts, PipelineSettings().evaluation)


@remedy_of("cfmodel/gradients/health/early_stop.py", "set health.on_unhealthy")
def test_a_run_that_only_warns_goes_on() -> None:
    from made_reports import verdict

    from cfmodel.config import HealthSettings
    from cfmodel.gradients.health.early_stop import HealthWatch

    with refused('set health.on_unhealthy to "warn" to continue'):
        require_health(HealthReport((verdict(severity="error"),)), where="epoch 1")
    HealthWatch(HealthSettings(on_unhealthy="warn"))(object())


@remedy_of("cfmodel/gradients/recording/archive.py", "the gradient records cannot be read")
def test_records_that_a_training_writes_again_are_read(tmp_path: Path) -> None:
    from histories import history

    with refused("train again to record them again"):
        read_archive(tmp_path)
    write_archive(tmp_path, history(epochs=1))
    assert read_archive(tmp_path)


@remedy_of("cfmodel/gradients/report/comparison.py", "is named twice")
@remedy_of("cfmodel/gradients/report/comparison.py", "cannot be compared: name 2 to")
def test_two_different_runs_are_compared() -> None:
    one, other = compared_run(1), compared_run(2)
    with refused("1 run cannot be compared: name 2 to"):
        RunComparison((one,))
    with refused("is named twice: name different runs"):
        RunComparison((one, one))
    RunComparison((one, other))


@remedy_of("cfmodel/system/atomic.py", "nothing of it is kept")
@remedy_of("cfmodel/system/homes.py", "this account cannot write there")
@remedy_of("cfmodel/system/homes.py", "there is no folder for temporary files")
def test_space_and_folders_that_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno
    import os
    import tempfile

    from cfmodel.system.homes import ensure_home, require_writable

    with refused("free some space and run again"), atomic.file(tmp_path / "x") as temporary:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(temporary))
    with atomic.file(tmp_path / "x") as temporary:
        temporary.write_text("now")
    with refused("set runtime.data_dir to a folder where it can"):
        require_writable(tmp_path / "x", setting="runtime.data_dir")
    require_writable(tmp_path, setting="runtime.data_dir")
    monkeypatch.setenv("HOME", str(tmp_path / "absent"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "x" / "absent"))
    with refused("set HOME to a folder that this account can write"):
        ensure_home()
    monkeypatch.setenv("HOME", str(tmp_path))
    assert ensure_home() is None


@remedy_of("cfmodel/system/last_net.py", "if log else sentence")
def test_what_nobody_foresaw_is_told_with_a_remedy_that_works(tmp_path: Path) -> None:
    from cfmodel.system.last_net import unforeseen

    def make() -> None:
        (tmp_path / "folder").write_text("x")

    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError) as raised:
        make()
    said = str(unforeseen(raised.value))
    assert "it is a folder where a file is needed: move it away (the traceback is in " in said
    Path(re.findall(r"in (\S+)\)$", said)[0]).unlink()
    (tmp_path / "folder").rename(tmp_path / "away")
    make()
