"""Where a run comes from: data, settings and code, the commit, and the versions of what it stands on."""

import subprocess
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import cfmodel
from cfmodel.config import PipelineSettings
from cfmodel.refs import DatasetRef, SplitRef
from cfmodel.system.digests import code_digest, sha256_of_text

#: What a saved model needs to be loaded and asked.
_NEEDED_BY_A_MODEL = ("torch", "safetensors", "pyarrow", "pandas", "numpy", "mlflow")


#: Sections that say where a run happens and what becomes of it, not what it learns.
_NOT_LEARNED_FROM = {"tracking", "runtime", "keep", "scoring", "promotion"}


def inputs_digest(settings: PipelineSettings, *data: DatasetRef | None) -> str:
    """Return the SHA-256 over all that a run is made from: its data, its settings and cfmodel's code.

    Settings that say where a run happens and where it is recorded do not count.
    """
    digests = ["" if dataset is None else dataset.digest for dataset in data]
    return sha256_of_text(*digests, _learned_from(settings), code_digest())


def identity_of(split: SplitRef, settings: PipelineSettings, *, device: str) -> dict[str, str]:
    """Return the tags that two trainings share only if they end in the same weights and metrics.

    Args:
        split: What is learned from.
        settings: How; where to run and where it is recorded makes no difference.
        device: Where the training runs; another one rounds otherwise.
    """
    return {
        "split_digest": split.digest,
        "settings_digest": sha256_of_text(_learned_from(settings)),
        "code_digest": code_digest(),
        "torch_version": version("torch"),
        "device": device,
    }


def _learned_from(settings: PipelineSettings) -> str:
    return settings.model_dump_json(exclude=_NOT_LEARNED_FROM)


def commit(folder: Path = Path(cfmodel.__file__).parent) -> str | None:
    """Return the git commit of cfmodel's own code, `-dirty` added where files differ from it.

    None where the code is not in a git checkout: installed from a wheel, even if that happens to
    lie inside somebody else's checkout, or where there is no git.
    """
    if _git(folder, "ls-files", "--error-unmatch", "__init__.py") is None:
        return None
    return _git(folder, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")


def pinned_requirements() -> list[str]:
    """Return what a saved model needs, each pinned as installed.

    A local version such as torch's `2.13.0+cpu` is cut to the public one, which any machine can
    install.
    """
    pins = [f"{name}=={version(name).partition('+')[0]}" for name in _NEEDED_BY_A_MODEL]
    return [f"cfmodel=={cfmodel_version()}", *pins]


def cfmodel_version() -> str:
    """Return the installed version of cfmodel, or that of the checkout where it is not installed."""
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
