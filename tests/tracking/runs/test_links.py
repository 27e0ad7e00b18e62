from dataclasses import replace

from cfmodel import tracking
from cfmodel.config import TrackingSettings
from cfmodel.tracking import Run


def test_links_lead_to_the_training_view(mlflow_store: str, run: Run) -> None:
    view = f"http://127.0.0.1:5001/#/experiments/{run.experiment_id}/runs?workflowType=machine_learning"
    assert tracking.experiment_url(run, port=5001) == view
    assert tracking.training_view(TrackingSettings(uri=mlflow_store), port=5001) == view
    served = replace(run, tracking_uri="https://mlflow.example/")
    assert (
        tracking.run_url(served)
        == f"https://mlflow.example/#/experiments/{run.experiment_id}/runs/{run.run_id}?workflowType=machine_learning"
    )
