"""The monitor's records of steps, compared with a plain recomputation of the same training."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from cfmodel.config import MonitorSettings, TrainSettings
from cfmodel.data.splitting.parts import RatingArrays
from cfmodel.gradients.recording.gradient_records import QUANTILES, StepBlock, StepSample
from cfmodel.model import CollaborativeFiltering
from cfmodel.training.batching.batches import Batches, DeviceRatings
from cfmodel.training.engines.step import clip_gradients, loss_of
from cfmodel.training.fit import fit
from cfmodel.training.planning.plan import TrainingPlan
from cfmodel.training.planning.schedule import learning_rate_at

USERS, MOVIES, BATCH, RATINGS = 80, 30, 48, 480
SETTINGS = TrainSettings(
    embedding_dim=4, batch_size=BATCH, epochs=2, regularization=0.2, max_grad_norm=0.5, init_std=0.3, refit=False
)
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def ratings(number: int = RATINGS, seed: int = 0) -> RatingArrays:
    rng = np.random.default_rng(seed)
    user, movie = (rng.random(number) ** 2 * USERS, rng.random(number) ** 2 * MOVIES)
    return RatingArrays(user.astype(np.int32), movie.astype(np.int32), rng.integers(1, 6, number).astype(np.float32))


def monitored(every: int | None = 1, settings: TrainSettings = SETTINGS) -> list[object]:
    records: list[object] = []
    fit(
        TrainingPlan.of(
            ratings(),
            None,
            num_users=USERS,
            num_movies=MOVIES,
            settings=settings,
            device=CPU,
            monitor=MonitorSettings(sample_every=every),
        ),
        on_record=records.append,
    )
    return records


@dataclass
class PlainStep:
    """One step of the same training, with all its numbers."""

    batch: DeviceRatings
    error: np.ndarray
    gradients: dict[str, np.ndarray]
    before: dict[str, np.ndarray]
    after: dict[str, np.ndarray]
    coefficient: float
    learning_rate: float

    def rows(self, table: str) -> np.ndarray:
        index = self.batch.user_idx if table.startswith("user") else self.batch.movie_idx
        return np.unique(index.numpy())


def copies_of(tables: dict[str, Tensor]) -> dict[str, np.ndarray]:
    return {name: table.detach().numpy().copy() for name, table in tables.items()}


@pytest.fixture(scope="module")
def plain() -> list[PlainStep]:
    """The same training without a monitor, by autograd and torch's Adam."""
    plan = TrainingPlan.of(ratings(), None, num_users=USERS, num_movies=MOVIES, settings=SETTINGS)
    train, model, penalty = plan.train, plan.initial_model(), plan.penalty_weights()
    tables, steps = model.weights(), []
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    for epoch in (1, 2):
        planned = Batches(train, num_users=USERS, num_movies=MOVIES, batch_size=BATCH, seed=SETTINGS.seed)
        order = torch.from_numpy(planned.order())
        for number, places in enumerate(planned.of(epoch)):
            batch = DeviceRatings.of(train, CPU)[order[torch.from_numpy(places)]]
            rate = learning_rate_at((epoch - 1 + number * BATCH / RATINGS) / SETTINGS.epochs, SETTINGS)
            optimizer.param_groups[0]["lr"] = rate
            optimizer.zero_grad()
            loss_of(model, batch, penalty=penalty).total.backward()  # type: ignore[no-untyped-call]
            gradients = {name: table.grad for name, table in tables.items() if table.grad is not None}
            error = (batch.rating - model.score(batch.user_idx, batch.movie_idx)).numpy()
            gradients_before, before = copies_of(gradients), copies_of(tables)
            norms = clip_gradients(list(gradients.values()), SETTINGS.max_grad_norm)
            optimizer.step()
            steps.append(
                PlainStep(batch, error, gradients_before, before, copies_of(tables), float(norms.coefficient), rate)
            )
    return steps


@pytest.fixture(scope="module")
def records() -> list[object]:
    return monitored()


@pytest.fixture(scope="module")
def samples(records: list[object]) -> list[StepSample]:
    return [record for record in records if isinstance(record, StepSample)]


@pytest.fixture(scope="module")
def blocks(records: list[object]) -> list[StepBlock]:
    return [record for record in records if isinstance(record, StepBlock)]


def every_step(blocks: list[StepBlock], what: str) -> np.ndarray:
    return np.concatenate([getattr(block, what) for block in blocks])


def test_steps_are_counted_from_one_over_all_epochs(blocks: list[StepBlock], samples: list[StepSample]) -> None:
    assert [(block.epoch, block.first_step, len(block.loss)) for block in blocks] == [(1, 1, 10), (2, 11, 10)]
    assert [sample.step for sample in samples] == list(range(1, 21))
    assert [sample.epoch for sample in samples] == [1] * 10 + [2] * 10


def test_norms_of_every_step_are_those_of_autograd_before_clipping(
    blocks: list[StepBlock], plain: list[PlainStep]
) -> None:
    for table in CollaborativeFiltering.table_names():
        found = np.concatenate([block.grad_norms[table] for block in blocks])
        np.testing.assert_allclose(found, [np.linalg.norm(step.gradients[table]) for step in plain], rtol=1e-5)
    totals = [np.sqrt(sum(np.linalg.norm(each) ** 2 for each in step.gradients.values())) for step in plain]
    np.testing.assert_allclose(every_step(blocks, "total_norm"), totals, rtol=1e-5)
    coefficients = [step.coefficient for step in plain]
    np.testing.assert_allclose(every_step(blocks, "clip_coefficient"), coefficients, rtol=1e-6)
    assert min(coefficients) < 1


def test_the_largest_error_of_every_step_is_found_with_its_user_and_movie(
    blocks: list[StepBlock], plain: list[PlainStep]
) -> None:
    np.testing.assert_allclose(
        every_step(blocks, "largest_error"), [np.abs(step.error).max() for step in plain], rtol=1e-6
    )
    where = [int(np.abs(step.error).argmax()) for step in plain]
    for side in ("user", "movie"):
        rows = [int(getattr(step.batch, f"{side}_idx")[one]) for step, one in zip(plain, where, strict=True)]
        assert every_step(blocks, f"largest_error_{side}").tolist() == rows


def test_rows_touched_are_the_distinct_rows_of_the_batch(blocks: list[StepBlock], plain: list[PlainStep]) -> None:
    for table in CollaborativeFiltering.table_names():
        found = np.concatenate([block.rows_touched[table] for block in blocks])
        assert found.tolist() == [len(step.rows(table)) for step in plain]


def test_histograms_are_those_of_the_raw_bits_of_the_touched_rows(
    samples: list[StepSample], plain: list[PlainStep]
) -> None:
    for sample, step in zip(samples, plain, strict=True):
        for table in CollaborativeFiltering.table_names():
            gradient, measured = step.gradients[table][step.rows(table)], sample.tables[table]
            bits = gradient.ravel().view(np.uint32)
            np.testing.assert_array_equal(measured.gradient_counts, np.bincount(bits >> 23, minlength=512))
            norms = torch.linalg.vector_norm(torch.from_numpy(gradient), dim=1).numpy().view(np.uint32)
            np.testing.assert_array_equal(measured.row_norm_counts, np.bincount(norms >> 23, minlength=512))
            assert measured.rows_touched == len(gradient)
            assert measured.structural_zero_fraction == pytest.approx(1 - len(gradient) / len(step.before[table]))
            assert measured.zeros == (gradient == 0).sum()


def test_updates_are_measured_on_the_rows_that_were_touched(samples: list[StepSample], plain: list[PlainStep]) -> None:
    for sample, step in zip(samples, plain, strict=True):
        for table in CollaborativeFiltering.table_names():
            rows, measured = step.rows(table), sample.tables[table]
            moved = step.after[table] - step.before[table]
            weight = np.linalg.norm(step.before[table][rows])
            ratio = np.linalg.norm(moved[rows]) / weight if weight else np.inf
            assert measured.update_to_weight == pytest.approx(ratio, rel=1e-4)
            assert measured.adam_step == pytest.approx(np.abs(moved[rows]).mean() / step.learning_rate, rel=1e-4)
            assert measured.update_norm == pytest.approx(np.linalg.norm(moved), rel=1e-4)


def test_the_ghost_share_is_the_squared_movement_of_the_rows_without_a_gradient(
    samples: list[StepSample], plain: list[PlainStep]
) -> None:
    for sample, step in zip(samples, plain, strict=True):
        for table in CollaborativeFiltering.table_names():
            moved = (step.after[table] - step.before[table]).astype(np.float64)
            ghosts = np.delete(moved, step.rows(table), axis=0)
            assert sample.tables[table].ghost_share == pytest.approx((ghosts**2).sum() / (moved**2).sum(), rel=1e-4)
    assert samples[0].tables["user_embeddings"].ghost_share == 0
    assert samples[-1].tables["user_embeddings"].ghost_share > 0.05


def test_energy_by_decile_shares_the_squared_gradient_out_by_popularity(
    samples: list[StepSample], plain: list[PlainStep]
) -> None:
    counts = np.bincount(ratings().user_idx, minlength=USERS)
    rated = np.argsort(counts, kind="stable")[(counts == 0).sum() :]
    for sample, step in zip(samples, plain, strict=True):
        squares = (step.gradients["user_embeddings"].astype(np.float64) ** 2).sum(axis=1)
        expected = np.zeros(10)
        for rank, row in enumerate(rated):
            expected[rank * 10 // len(rated)] += squares[row]
        np.testing.assert_allclose(
            sample.tables["user_embeddings"].energy_by_decile, expected / expected.sum(), rtol=1e-4, atol=1e-9
        )


def per_sample_gradients(step: PlainStep) -> np.ndarray:
    """The gradient of each rating's own squared error, by autograd, in float64, flattened; shape (B, P)."""
    tables = {name: torch.tensor(value, dtype=torch.float64) for name, value in step.before.items()}
    gradients = []
    for user, movie, rating in zip(step.batch.user_idx, step.batch.movie_idx, step.batch.rating, strict=True):
        own = [tables[name].clone().requires_grad_() for name in CollaborativeFiltering.table_names()]
        rows = (
            table[user if name.startswith("user") else movie]
            for name, table in zip(CollaborativeFiltering.table_names(), own, strict=True)
        )
        p, b, q, c = rows
        loss = (rating - b - c - (p * q).sum()).square().sum()
        gradients.append(torch.cat([each.ravel() for each in torch.autograd.grad(loss, own)]).numpy())
    return np.stack(gradients)


@pytest.mark.parametrize("number", [0, 12])
def test_per_sample_norms_and_noise_scale_are_those_of_per_sample_autograd(
    samples: list[StepSample], plain: list[PlainStep], number: int
) -> None:
    gradients, sample = per_sample_gradients(plain[number]), samples[number]
    norms = np.linalg.norm(gradients, axis=1)
    np.testing.assert_allclose(sample.per_sample_norm, np.quantile(norms, QUANTILES), rtol=1e-5)
    assert sample.per_sample_norm_max == pytest.approx(norms.max(), rel=1e-5)
    trace = gradients.var(axis=0, ddof=1).sum()
    signal = (gradients.mean(axis=0) ** 2).sum() - trace / BATCH
    assert sample.noise_trace == pytest.approx(trace, rel=1e-4)
    assert sample.signal_square == pytest.approx(signal, rel=1e-3)
    assert sample.noise_scale == pytest.approx(trace / signal if signal > 0 else np.inf, rel=1e-3)


@pytest.mark.parametrize("every", [1, None])
def test_the_weights_are_bit_for_bit_the_same_with_and_without_a_monitor(every: int | None) -> None:
    def trained(monitor: MonitorSettings) -> dict[str, Tensor]:
        found = fit(
            TrainingPlan.of(
                ratings(),
                ratings(60, seed=1),
                num_users=USERS,
                num_movies=MOVIES,
                settings=SETTINGS.model_copy(update={"epochs": 4}),
                device=CPU,
                monitor=monitor,
            ),
            on_record=[].append,
        )
        return dict(found.model.state_dict())

    on, off = trained(MonitorSettings(sample_every=every)), trained(MonitorSettings(enabled=False))
    for name, table in on.items():
        assert table.numpy().tobytes() == off[name].numpy().tobytes(), name


def test_a_batch_of_one_has_no_noise_scale() -> None:
    settings = SETTINGS.model_copy(update={"batch_size": 1, "epochs": 1})
    last = [record for record in monitored(settings=settings) if isinstance(record, StepSample)][-1]
    assert last.batch_size == 1
    assert np.isnan(last.noise_scale)
