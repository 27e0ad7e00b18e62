"""Image files by epoch, with the names that MLflow's image view expects.

`MlflowClient.log_image` chooses a new name on every call, so that an image logged twice is there twice.
These names depend on key and step only.
"""

from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import NAMESPACE_URL, uuid5

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

    from cfmodel.gradients.report.epoch_images import Image

#: Tag that makes MLflow's pages show a run's images.
IMAGES_TAG = {"mlflow.loggedImages": "True"}
_LONGER_SIDE = 512


def image_files(images: "Iterable[tuple[str, int, Image]]") -> dict[str, Path | str | bytes]:
    """Return each image as PNG and as a small WebP, by path among the artifacts.

    Args:
        images: Key (which may hold slashes), step, and RGB pixels of shape (height, width, 3) of each.
    """
    from PIL.Image import fromarray

    files: dict[str, Path | str | bytes] = {}
    for key, step, pixels in images:
        picture, stem = fromarray(pixels), _stem(key, step)
        files[f"{stem}.png"] = _encoded(picture, "png")
        files[f"{stem}+compressed.webp"] = _encoded(_small(picture), "webp")
    return files


def _stem(key: str, step: int) -> str:
    name = uuid5(NAMESPACE_URL, f"{key}/{step}")
    return f"images/{key.replace('/', '~')}+step+{step}+timestamp+{step}+{name}"


def _small(picture: "Picture") -> "Picture":
    scale = _LONGER_SIDE / max(picture.size)
    return picture.resize((int(picture.width * scale), int(picture.height * scale)))


def _encoded(picture: "Picture", kind: str) -> bytes:
    buffer = BytesIO()
    picture.save(buffer, kind)
    return buffer.getvalue()
