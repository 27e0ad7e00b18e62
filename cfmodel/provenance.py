"""What a run is made from: digests of data, settings and code, the git commit, and versions of packages."""

import subprocess
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import cfmodel
from cfmodel.config import PipelineSettings
from cfmodel.refs import DatasetRef, SplitRef
from cfmodel.system.digests import code_digest, sha256_of_text

#: Packages that a saved model needs for predictions.
_NEEDED_BY_A_MODEL = ("torch", "safetensors", "pyarrow", "pandas", "numpy", "mlflow")
#: Sections that change where a run happens and what follows from it, not what is learned.
_WITHOUT_EFFECT = {"tracking", "runtime", "keep", "scoring", "promotion"}


def inputs_digest(settings: PipelineSettings, *data: DatasetRef | None) -> str:
    """Return the SHA-256 over what a run is made from: data, settings and cfmodel's code.

    Settings of where a run happens and where it is recorded do not count.
    """
    digests = ["" if dataset is None else dataset.digest for dataset in data]
    return sha256_of_text(*digests, _settings_json(settings), code_digest())


def training_identity(split: SplitRef, settings: PipelineSettings, *, device: str) -> dict[str, str]:
    """Return tags that are the same for two trainings only if they end in the same weights and metrics.

    Args:
        split: The split to train on.
        settings: All settings; those of where a run happens and where it is recorded do not count.
        device: Device of the training; another one rounds differently.
    """
    return {
        "split_digest": split.digest,
        "settings_digest": sha256_of_text(_settings_json(settings)),
        "code_digest": code_digest(),
        "torch_version": version("torch"),
        "device": device,
    }


def _settings_json(settings: PipelineSettings) -> str:
    return settings.model_dump_json(exclude=_WITHOUT_EFFECT)


def commit(folder: Path = Path(cfmodel.__file__).parent) -> str | None:
    """Return the git commit of cfmodel's own code, with `-dirty` if files differ from it.

    None if there is no git, or if the code is not in a checkout of cfmodel. A wheel installed inside another
    project's checkout is not.
    """
    if _git(folder, "ls-files", "--error-unmatch", "__init__.py") is None:
        return None
    return _git(folder, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")


def pinned_requirements() -> list[str]:
    """Return the packages that a saved model needs, each pinned to the installed version.

    A local version such as torch's `2.13.0+cpu` is cut to the public one, which any machine can install.
    """
    pins = [f"{name}=={version(name).partition('+')[0]}" for name in _NEEDED_BY_A_MODEL]
    return [f"cfmodel=={cfmodel_version()}", *pins]


def cfmodel_version() -> str:
    """Return the installed version of cfmodel, or the version in the code if it is not installed."""
    try:
        return version("cfmodel")
    except PackageNotFoundError:
        return cfmodel.__version__


def _git(folder: Path, *arguments: str) -> str | None:
    command: Sequence[str] = ("git", "-C", str(folder), *arguments)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
