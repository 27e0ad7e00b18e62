import numpy as np
import pytest

from cfmodel.errors import ConfigError, DataError
from cfmodel.promotion.bootstrap import Difference, paired_bootstrap


def drawn(seed: int, *, users: int = 80, rows: int = 2_000, gain: float = 0.0) -> tuple[np.ndarray, ...]:
    """Errors that share a part by user, so that rows of one user are not independent."""
    rng = np.random.default_rng(seed)
    user = rng.integers(0, users, rows)
    by_user = rng.normal(0, 0.3, (users, 2))
    error, other = (rng.normal(0, 1, rows) + by_user[user, side] for side in (0, 1))
    return user, error * (1 - gain), other


def compared(user: np.ndarray, error: np.ndarray, other: np.ndarray, **changes: float) -> Difference:
    settings = {"resamples": 400, "confidence": 0.95, "seed": 0} | changes
    return paired_bootstrap(user, error, other, **settings)  # type: ignore[arg-type]


def test_both_rmses_are_those_of_all_rows() -> None:
    found = compared(np.array([5, 5, 9]), np.array([1.0, -1.0, 2.0]), np.array([0.0, 3.0, 0.0]))
    assert found.rmse == pytest.approx(np.sqrt(2.0))
    assert found.other_rmse == pytest.approx(np.sqrt(3.0))
    assert found.difference == pytest.approx(np.sqrt(2.0) - np.sqrt(3.0))


def test_equal_errors_differ_by_nothing_and_are_not_better() -> None:
    user, error, _ = drawn(0)
    found = compared(user, error, error.copy())
    assert (found.low, found.high, found.is_better) == (0.0, 0.0, False)


def test_one_user_leaves_nothing_to_draw() -> None:
    found = compared(np.zeros(4, int), np.arange(4.0), np.ones(4))
    assert found.low == found.high == pytest.approx(found.difference)


def test_the_interval_equals_that_of_a_loop_over_resamples() -> None:
    user, error, other = drawn(1)
    draws = np.random.default_rng(3).integers(0, 80, (400, 80), dtype=np.int32)
    rows_of = [np.flatnonzero(user == number) for number in range(80)]
    differences = []
    for draw in draws:
        rows = np.concatenate([rows_of[number] for number in draw])
        differences.append(np.sqrt(np.mean(error[rows] ** 2)) - np.sqrt(np.mean(other[rows] ** 2)))
    found = compared(user, error, other, seed=3)
    assert [found.low, found.high] == pytest.approx(np.quantile(differences, [0.025, 0.975]))


def test_doubled_rows_do_not_narrow_the_interval() -> None:
    user, error, other = drawn(2)
    once, twice = compared(user, error, other), compared(*(np.tile(each, 2) for each in (user, error, other)))
    assert [twice.low, twice.high] == pytest.approx([once.low, once.high])


def test_the_seed_decides_the_draws() -> None:
    samples = drawn(3)
    assert compared(*samples, seed=1) == compared(*samples, seed=1)
    assert compared(*samples, seed=1) != compared(*samples, seed=2)


def test_a_clear_gain_is_better_and_a_loss_is_not() -> None:
    user, error, other = drawn(4, gain=0.1)
    assert compared(user, error, other).is_better
    assert not compared(user, other, error).is_better


def test_nineteen_of_twenty_intervals_hold_the_true_difference() -> None:
    # Equal predictors, so that the true difference is 0: 300 draws of the whole thing, with a standard error of 1.3 %.
    held = [found.low <= 0 <= found.high for found in (compared(*drawn(100 + seed)) for seed in range(300))]
    assert 0.90 <= np.mean(held) <= 0.985


def test_nothing_to_compare_is_refused() -> None:
    with pytest.raises(DataError, match="0 rows"):
        compared(np.array([], int), np.array([]), np.array([]))


@pytest.mark.parametrize("changes", [{"resamples": 0}, {"confidence": 0.0}, {"confidence": 1.0}])
def test_settings_without_an_interval_are_refused(changes: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="confidence"):
        compared(*drawn(0), **changes)
