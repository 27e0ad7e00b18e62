"""The description of a run."""

from dataclasses import dataclass, field

from cfmodel.summaries.run_description import RunResult, replace_promotion, result_page

METRICS = {
    "test/rmse": 0.9,
    "test/mae": 0.7,
    "test/damped_bias_rmse": 1.0,
    "test/damped_bias_mae": 0.8,
    "test/global_mean_rmse": 1.2,
    "test/global_mean_mae": 0.9,
    "train/ratings": 1000,
    "train/batch_size": 32,
    "train/epochs": 3,
    "best_epoch": 2,
    "best_val_rmse": 0.95,
    "time/ingest_seconds": 1.0,
    "time/train_seconds": 2.0,
}


@dataclass(frozen=True)
class Known:
    metrics: dict[str, float] = field(default_factory=lambda: dict(METRICS))
    tags: dict[str, str] = field(default_factory=lambda: {"split_digest": "a"})


def page(source: str = "ratings.csv", run: Known | None = None, **others: Known) -> list[str]:
    links = {"this run in MLflow": "http://127.0.0.1:5000/#/runs/1"}
    return result_page(RunResult(source, run or Known(), others, links)).splitlines()


def test_the_model_stands_beside_the_baselines() -> None:
    lines = page()
    assert "| model | 0.9000 | 0.7000 |  |" in lines
    assert "| damped biases | 1.0000 | 0.8000 | 10.00% lower |" in lines
    assert "| global mean | 1.2000 | 0.9000 | 25.00% lower |" in lines


def test_earlier_runs_on_the_same_ratings_are_compared_and_others_are_not() -> None:
    champion = Known(METRICS | {"test/rmse": 0.8})
    other = Known(METRICS | {"test/rmse": 0.5}, {"split_digest": "b"})
    lines = page(champion=champion, last=other)
    assert "| champion | 0.8000 | 0.7000 | 12.50% higher |" in lines
    assert "| last | 0.5000 | 0.7000 | on other ratings |" in lines


def test_an_equal_error_is_called_the_same() -> None:
    assert "| champion | 0.9000 | 0.7000 | the same |" in page(champion=Known())


def test_health_is_shown_with_its_reason() -> None:
    health = {"health.verdict": "warning", "health.first": "clipping: 90 % of steps"}
    lines = page(run=Known(tags={"split_digest": "a"} | health))
    assert "Gradients: **warning**: clipping: 90 % of steps" in lines


def test_the_paragraph_on_promotion_keeps_its_place_however_often_it_changes() -> None:
    before = result_page(RunResult("ratings.csv", Known()))
    (unknown,) = (line for line in before.splitlines() if line.startswith("Promotion: **not decided**"))
    place = before.splitlines().index(unknown)
    refused = replace_promotion(before, "**refused**: version 3\n- no better")
    promoted = replace_promotion(refused, "**promoted**: version 3")
    assert refused.splitlines()[place : place + 2] == ["Promotion: **refused**: version 3", "- no better"]
    assert promoted == before.replace(unknown, "Promotion: **promoted**: version 3")


def test_a_page_without_a_paragraph_on_promotion_gets_it_at_its_end() -> None:
    assert replace_promotion("Somebody's own words.\n", "**refused**") == (
        "Somebody's own words.\n\nPromotion: **refused**\n"
    )
    assert replace_promotion("", "**refused**") == "Promotion: **refused**\n"


def test_reused_steps_are_marked() -> None:
    assert "ingest 1.0 s (reused), train 2.0 s" in page(run=Known(tags={"step.ingest": "reused"}))


def test_a_hostile_name_is_shown_as_text_and_not_as_markup() -> None:
    said = "\n".join(page("<script>alert(1)</script> | [x](javascript:1) **b**\n# h"))
    assert "<script" not in said
    assert r"\[x\]" in said
    assert "\n# h" not in said


def test_the_page_ends_with_the_links() -> None:
    assert page()[-1] == "[this run in MLflow](http://127.0.0.1:5000/#/runs/1)"
