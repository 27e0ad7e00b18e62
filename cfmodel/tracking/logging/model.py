"""The trained model of a run, logged to the store."""

from pathlib import Path

from cfmodel.system.digests import sha256_of_file
from cfmodel.tracking.outbox.entries import SavedModel
from cfmodel.tracking.outbox.write import tell
from cfmodel.tracking.run import TrackedRun


def log_model(run: TrackedRun, folder: Path) -> str:
    """Record a saved recommender as the run's model; return its MLflow address, `models:/<id>`.

    `mlflow.pyfunc.load_model` loads it wherever cfmodel is installed: it holds weights as
    safetensors and ids as Parquet, no pickle and no code. Asked with columns `user_id` and
    `movie_id` it answers with ratings, asked with `user_id` alone with recommendations. Before it
    counts as recorded it is loaded back from the store and asked what the recommender answers.

    Args:
        run: The run that trained it.
        folder: What `Recommender.save` wrote; it stays there until the store has it.

    Returns:
        The address; empty where the store is away, for a run with a journal.

    Raises:
        DigestError: The folder is damaged.
        TrackingError: The store does not take it.
    """
    from cfmodel.recommending.recommender import Recommender
    from cfmodel.recommending.saved_files import MANIFEST

    Recommender.load(folder)
    sent = tell(run, [SavedModel(str(folder.resolve()), sha256_of_file(folder / MANIFEST))])
    return f"models:/{sent.model_id}" if sent.model_id else ""
