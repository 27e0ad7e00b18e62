"""Evaluate a trained model on the test ratings, beside the baselines."""

from prefect import task

from cfmodel import tracking
from cfmodel.config import PipelineSettings
from cfmodel.evaluation.evaluate import evaluate
from cfmodel.recommending.recommender import Recommender
from cfmodel.refs import RunRef, SplitRef
from cfmodel.training.planning.devices import limit_threads, resolve_device
from tasks.prefect_output import record_logger


@task(name="evaluate")
def evaluate_model(run: RunRef, split: SplitRef, settings: PipelineSettings) -> dict[str, float]:
    """Evaluate the saved model on every test row, record the results in its MLflow run and return the metrics."""
    limit_threads(settings.runtime.threads)
    device = resolve_device(settings.runtime.device)
    with tracking.ended_on_error(run):
        recommender = Recommender.load(run.model_path, digest=run.model_digest)
        evaluation = evaluate(
            recommender,
            split,
            settings.evaluation,
            trained_parts=settings.train.trained_parts,
            device=device,
            on_record=record_logger(),
        )
        tracking.log_evaluation(run, evaluation)
    return evaluation.metrics
