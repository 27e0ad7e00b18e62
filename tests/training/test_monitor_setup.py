"""The monitor of a training."""

from training_engines import chosen, drawn, engine_on, plan_of

from cfmodel.gradients.measuring.monitored_table import Sensitivity
from cfmodel.gradients.recording.gradient_records import InitialRecord
from cfmodel.model import CollaborativeFiltering
from cfmodel.training.engines.autograd import AutogradEngine
from cfmodel.training.monitor_setup import build_monitor, sensitivity_of


def test_a_prediction_depends_on_both_biases_with_a_slope_of_one_and_on_embeddings_by_each_other() -> None:
    expected = Sensitivity(2, ("user_embeddings", "movie_embeddings"))
    assert sensitivity_of(CollaborativeFiltering) == expected


def test_the_initial_record_has_the_facts_of_the_plan() -> None:
    records: list[object] = []
    plan = plan_of(drawn(200), chosen(max_grad_norm=0.7), batch_size=20)
    build_monitor(engine_on(plan, AutogradEngine), plan, steps=10, on_record=records.append).start()
    (record,) = records
    assert isinstance(record, InitialRecord)
    assert (record.num_ratings, record.batch_size, record.planned_steps) == (200, 20, 80)
    assert (record.learning_rate, record.max_grad_norm, record.regularization) == (0.02, 0.7, 0.5)
    assert list(record.rows.values()) == [40, 40, 25, 25]
