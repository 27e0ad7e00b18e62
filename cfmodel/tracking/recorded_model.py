"""Record a trained model in the store without pickle or code, load it back, and compare its answers."""

import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cfmodel.errors import CFModelError, TrackingError
from cfmodel.provenance import cfmodel_version, pinned_requirements
from cfmodel.schema import MOVIE_ID, USER_ID
from cfmodel.system.addresses import redact
from cfmodel.tracking.run import Run, TrackedRun
from cfmodel.tracking.store import client, mlflow, reaching

if TYPE_CHECKING:
    import pandas as pd

    from cfmodel.recommending.recommender import Recommender

_NAME = "recommender"
_EXAMPLES = 5
_DIGEST = "model_digest"
#: Module that MLflow loads it with.
_LOADER = "cfmodel.serving"


def record_model(run: Run, folder: Path, *, digest: str) -> str:
    """Send a saved recommender to the store and check it there; return the model's id.

    If a killed process began to send the same model, its entry is completed.

    Raises:
        TrackingError: The folder is damaged, or the store refuses the model or returns another.
    """
    from cfmodel.recommending.recommender import Recommender

    try:
        recommender = Recommender.load(folder, digest=digest)
    except CFModelError as error:
        raise TrackingError(f"the model cannot be recorded: {error}") from error
    with reaching(run.tracking_uri, "recording the model"), tempfile.TemporaryDirectory() as temporary:
        model = _find(run, digest) or _create(run, digest)
        _write(Path(temporary, _NAME), folder, _example(recommender), model=model)
        store = client(run.tracking_uri)
        store.log_model_artifacts(model.model_id, str(Path(temporary, _NAME)))
        store.finalize_logged_model(model.model_id, "READY")
    check_model(run, f"models:/{model.model_id}", recommender)
    return str(model.model_id)


def model_of(run: TrackedRun) -> str:
    """Return the address of a run's recorded model, `models:/<id>`.

    Raises:
        TrackingError: It has none.
    """
    with reaching(run.tracking_uri, "looking up the run's model"):
        outputs = client(run.tracking_uri).get_run(run.run_id).outputs
    if not (outputs and outputs.model_outputs):
        raise TrackingError(f"run {run.run_id} has no recorded model; choose another, or run `cfmodel run`")
    return f"models:/{outputs.model_outputs[0].model_id}"


def check_model(run: TrackedRun, uri: str, recommender: "Recommender") -> None:
    """Load a recorded model back from the run's store and compare its answers with the recommender's.

    Raises:
        TrackingError: The model does not load, or its answers differ; it is then marked FAILED in the store.
    """
    model_id = uri.removeprefix("models:/")
    with reaching(run.tracking_uri, f"looking up the recorded model {uri}"):
        location = client(run.tracking_uri).get_logged_model(model_id).artifact_location
    if (difference := difference_at(run.tracking_uri, location, recommender)) is None:
        return
    with reaching(run.tracking_uri, "marking the model as failed"):
        client(run.tracking_uri).finalize_logged_model(model_id, "FAILED")
    raise TrackingError(refusal_of(run.tracking_uri, uri, difference))


def load_recommender(uri: str, location: str) -> "Recommender":
    """Load the recommender that a store keeps at a location, and check every file.

    Raises:
        DigestError: A file is missing, changed or damaged.
        TrackingError: The model is not a recommender of cfmodel.
    """
    from cfmodel.recommending.recommender import Recommender

    with _downloaded(uri, location) as folder:
        with reaching(uri, f"reading the model at {location}"):
            flavor = mlflow().models.Model.load(folder).flavors.get("python_function", {})
        if flavor.get("loader_module") != _LOADER:
            raise TrackingError(f"{redact(uri)}: the model at {location} is not one of cfmodel's; choose another")
        return Recommender.load(Path(folder, flavor["data"]))


@contextmanager
def _downloaded(uri: str, location: str) -> Iterator[str]:
    """Yield a folder with a recorded model's files, which is removed after the block.

    MLflow's `load_model(uri)` would look in the store of its global state.
    """
    with tempfile.TemporaryDirectory() as temporary:
        with reaching(uri, f"fetching the model at {location}"):
            folder = mlflow().artifacts.download_artifacts(location, dst_path=temporary, tracking_uri=uri)
        yield str(folder)


def difference_at(uri: str, location: str, recommender: "Recommender") -> str | None:
    """Compare the answers of the model at a location with the recommender's; return how they differ, None if equal."""
    with _downloaded(uri, location) as folder:
        return _difference(uri, folder, recommender)


def _difference(uri: str, folder: str, recommender: "Recommender") -> str | None:
    import numpy as np

    from cfmodel.recommending.suggest import suggest

    pairs = _example(recommender)
    expected, near = recommender.predict(pairs[USER_ID], pairs[MOVIE_ID]), 1e-5 * recommender.model.scale.std
    lists = suggest(recommender, recommender.users.encode(pairs[USER_ID]), k=_EXAMPLES)
    with reaching(uri, "asking the recorded model"):
        model = mlflow().pyfunc.load_model(folder)
        answers = np.asarray(model.predict(pairs)["prediction"])
        recommended = model.predict(pairs[[USER_ID]], params={"k": _EXAMPLES})
    if not np.allclose(answers, expected, rtol=0, atol=near):
        return f"predicts {answers.tolist()} where the trained one predicts {expected.tolist()}"
    scores = lists.score[lists.movie_idx >= 0]
    if len(recommended) != len(scores) or not np.allclose(recommended["score"], scores, rtol=0, atol=near):
        return f"recommends {recommended['score'].tolist()} where the trained one recommends {scores.tolist()}"
    return None


def refusal_of(store: str, uri: str, difference: str) -> str:
    """Return the message about a recorded model whose answers differ."""
    return f"{redact(store)}: the recorded model {uri} {difference}; do not use it, and record it again"


def _find(run: Run, digest: str) -> Any:
    """Return the run's entry of the model with a digest; None if there is none."""
    query = f"source_run_id = '{run.run_id}'"
    found = client(run.tracking_uri).search_logged_models([run.experiment_id], filter_string=query)
    return next((model for model in found if model.tags.get(_DIGEST) == digest), None)


def _create(run: Run, digest: str) -> Any:
    """Create a pending entry of the model, as an output of the run."""
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


def _write(target: Path, folder: Path, example: "pd.DataFrame", *, model: Any) -> None:
    """Write MLflow's model folder around a saved recommender."""
    with warnings.catch_warnings():
        # MLflow compares the example's column names with a range, which pandas 3 deprecates.
        warnings.filterwarnings("ignore", message="Operation with range is deprecated")
        mlflow().pyfunc.save_model(
            target,
            loader_module=_LOADER,
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
    """Return the signature: the columns and parameters of requests, and the columns of answers.

    Ids are text, but their type is `any`: MLflow refuses integers for `string`, and here an integer
    stands for its decimal text. `cfmodel.recommending.mlflow_pyfunc` says which columns a request must
    have and which columns its answer has.
    """
    types = mlflow().types.schema
    text, number, whole = types.DataType.string, types.DataType.double, types.DataType.long
    yes_or_no = types.DataType.boolean
    asked = [types.ColSpec(types.AnyType(), name, required=False) for name in (USER_ID, MOVIE_ID, "rated")]
    given = [("prediction", number), (USER_ID, text), (MOVIE_ID, text), ("score", number), ("rank", whole)]
    given += [("user_known", yes_or_no), ("movie_known", yes_or_no), ("rated_known", whole)]
    return mlflow().models.ModelSignature(
        inputs=types.Schema(asked),
        outputs=types.Schema([types.ColSpec(kind, name, required=False) for name, kind in given]),
        params=types.ParamSchema([types.ParamSpec("k", whole, default=10)]),
    )


def _example(recommender: "Recommender") -> "pd.DataFrame":
    """Return pairs of known ids, spread over the model's vocabularies."""
    import numpy as np
    import pandas as pd

    sides = ((USER_ID, recommender.users), (MOVIE_ID, recommender.movies))
    return pd.DataFrame({name: ids.decode(np.linspace(0, len(ids) - 1, _EXAMPLES, dtype=int)) for name, ids in sides})
