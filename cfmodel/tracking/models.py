"""The trained model in the store: recorded without pickle or code, loaded back and asked."""

import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cfmodel.addresses import shown
from cfmodel.digests import sha256_of_file
from cfmodel.errors import CFModelError, TrackingError
from cfmodel.provenance import cfmodel_version, pinned_requirements
from cfmodel.schema import MOVIE_ID, USER_ID
from cfmodel.tracking.entries import SavedModel
from cfmodel.tracking.store import client, mlflow, reaching
from cfmodel.tracking.telling import tell
from cfmodel.tracking.tracked import Run, TrackedRun

if TYPE_CHECKING:
    import pandas as pd

    from cfmodel.recommender import Recommender

_NAME = "recommender"
_EXAMPLES = 5
_DIGEST = "model_digest"


def log_model(run: TrackedRun, folder: Path) -> str:
    """Record a saved recommender as the run's model; return its MLflow address, `models:/<id>`.

    `mlflow.pyfunc.load_model` loads it wherever cfmodel is installed: it holds weights as
    safetensors and ids as Parquet, no pickle and no code. Asked with columns `user_id` and
    `movie_id` it answers with `prediction`. Before it counts as recorded it is loaded back from the
    store and asked what the recommender answers.

    Args:
        run: The run that trained it.
        folder: What `Recommender.save` wrote; it stays there until the store has it.

    Returns:
        The address; empty where the store is away, for a run with a journal.

    Raises:
        DigestError: The folder is damaged.
        TrackingError: The store does not take it.
    """
    from cfmodel.recommender import MANIFEST, Recommender

    Recommender.load(folder)
    sent = tell(run, [SavedModel(str(folder.resolve()), sha256_of_file(folder / MANIFEST))])
    return f"models:/{sent.model_id}" if sent.model_id else ""


def record_model(run: Run, folder: Path, *, digest: str) -> str:
    """Send a saved recommender to the store and check it there; return the model's id.

    One that a process began to send before it was killed is gone on with.

    Raises:
        TrackingError: The folder is damaged, or the store does not take it or gives back another.
    """
    from cfmodel.recommender import Recommender

    try:
        recommender = Recommender.load(folder, digest=digest)
    except CFModelError as error:
        raise TrackingError(f"the model cannot be recorded: {error}") from error
    with reaching(run.tracking_uri, "recording the model"), tempfile.TemporaryDirectory() as temporary:
        model = _begun(run, digest) or _create(run, digest)
        _write(Path(temporary, _NAME), folder, _example(recommender), model=model)
        store = client(run.tracking_uri)
        store.log_model_artifacts(model.model_id, str(Path(temporary, _NAME)))
        store.finalize_logged_model(model.model_id, "READY")
    check_model(run, f"models:/{model.model_id}", recommender)
    return str(model.model_id)


def check_model(run: TrackedRun, uri: str, recommender: "Recommender") -> None:
    """Load a recorded model back from the run's store and ask it what the recommender answers.

    Raises:
        TrackingError: The model does not load, or answers otherwise; the store then calls it failed.
    """
    import numpy as np

    pairs = _example(recommender)
    expected = recommender.predict(pairs[USER_ID], pairs[MOVIE_ID])
    with reaching(run.tracking_uri, f"asking the recorded model {uri}"), tempfile.TemporaryDirectory() as temporary:
        answers = np.asarray(_fetched(run, uri, temporary).predict(pairs))
    if np.allclose(answers, expected, rtol=0, atol=1e-5):
        return
    with reaching(run.tracking_uri, "marking the model as failed"):
        client(run.tracking_uri).finalize_logged_model(_model_id(uri), "FAILED")
    raise TrackingError(
        f"{shown(run.tracking_uri)}: the recorded model {uri} predicts {answers.tolist()} where the trained one "
        f"predicts {expected.tolist()}; do not use it, and record it again"
    )


def _begun(run: Run, digest: str) -> Any:
    """Return the entry of this very model, where there is one already; None where there is not."""
    store = client(run.tracking_uri)
    query = f"source_run_id = '{run.run_id}'"
    found = store.search_logged_models([run.experiment_id], filter_string=query)
    return next((model for model in found if model.tags.get(_DIGEST) == digest), None)


def _create(run: Run, digest: str) -> Any:
    """Create the model's entry, pending, as an output of the run."""
    store = client(run.tracking_uri)
    model = store.create_logged_model(
        run.experiment_id,
        name=_NAME,
        source_run_id=run.run_id,
        tags={"cfmodel_version": cfmodel_version(), _DIGEST: digest},
        params=store.get_run(run.run_id).data.params,
        model_type="recommender",
    )
    store.log_outputs(run.run_id, [mlflow().entities.LoggedModelOutput(model.model_id, step=0)])
    return model


def _fetched(run: TrackedRun, uri: str, folder: str) -> Any:
    """Load a recorded model by way of its address in the run's own store.

    `load_model(uri)` would look in the store of MLflow's global state.
    """
    location = client(run.tracking_uri).get_logged_model(_model_id(uri)).artifact_location
    local = mlflow().artifacts.download_artifacts(location, dst_path=folder, tracking_uri=run.tracking_uri)
    return mlflow().pyfunc.load_model(local)


def _model_id(uri: str) -> str:
    return uri.removeprefix("models:/")


def _write(target: Path, folder: Path, example: "pd.DataFrame", *, model: Any) -> None:
    """Write MLflow's model folder around a saved recommender."""
    with warnings.catch_warnings():
        # MLflow compares the example's column names with a range, which pandas 3 frowns upon.
        warnings.filterwarnings("ignore", message="Operation with range is deprecated")
        mlflow().pyfunc.save_model(
            target,
            loader_module="cfmodel.serving",
            data_path=str(folder),
            signature=_signature(),
            input_example=example,
            pip_requirements=pinned_requirements(),
            mlflow_model=mlflow().models.Model(
                artifact_path=model.artifact_location,
                run_id=model.source_run_id,
                model_id=model.model_id,
                model_uuid=model.model_id,
            ),
        )


def _signature() -> Any:
    """Return what the model takes and gives.

    Ids are text. The type says `any` all the same, because MLflow refuses integers for `string`,
    and here an integer means its decimal text.
    """
    types = mlflow().types.schema
    return mlflow().models.ModelSignature(
        inputs=types.Schema([types.ColSpec(types.AnyType(), name) for name in (USER_ID, MOVIE_ID)]),
        outputs=types.Schema([types.ColSpec(types.DataType.float, "prediction")]),
    )


def _example(recommender: "Recommender") -> "pd.DataFrame":
    """Return pairs of ids the model knows, spread over its vocabularies."""
    import numpy as np
    import pandas as pd

    sides = ((USER_ID, recommender.users), (MOVIE_ID, recommender.movies))
    return pd.DataFrame({name: ids.decode(np.linspace(0, len(ids) - 1, _EXAMPLES, dtype=int)) for name, ids in sides})
