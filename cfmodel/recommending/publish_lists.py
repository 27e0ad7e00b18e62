"""The pointer to the recommendations that count."""

import os
import uuid
from pathlib import Path

from cfmodel.errors import PublishError

LATEST = "latest"


def publish(folder: Path) -> Path:
    """Let `latest`, beside a folder, point at it; return the pointer.

    It is a relative symbolic link that is replaced by a rename: whoever follows it finds the old
    folder or the new one, never neither.

    Raises:
        PublishError: The file system knows no symbolic links, or `latest` is something else.
    """
    pointer = folder.parent / LATEST
    if pointer.exists() and not pointer.is_symlink():
        raise PublishError(f"{pointer}: is there and is no link of ours; move it away and score again")
    temporary = folder.parent / f".tmp-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    try:
        temporary.symlink_to(folder.name, target_is_directory=True)
        temporary.replace(pointer)
    except OSError as error:
        raise PublishError(f"{pointer}: cannot be switched ({error.strerror}); the lists are in {folder}") from None
    return pointer
