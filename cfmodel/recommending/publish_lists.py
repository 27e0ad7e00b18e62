"""The symbolic link `latest` to the published recommendations."""

import os
import uuid
from pathlib import Path

from cfmodel.errors import PublishError


def publish_lists(folder: Path) -> Path:
    """Point the link `latest`, in the same parent folder, at a folder; return the link.

    The link is relative and is replaced by a rename, so a reader finds the old folder or the new one.

    Raises:
        PublishError: The file system has no symbolic links, or `latest` is not one.
    """
    link = folder.parent / "latest"
    if link.exists() and not link.is_symlink():
        raise PublishError(f"{link}: exists and is not a symbolic link; move it away and score again")
    temporary = folder.parent / f".tmp-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    try:
        temporary.symlink_to(folder.name, target_is_directory=True)
        temporary.replace(link)
    except OSError as error:
        raise PublishError(
            f"{link}: cannot be set ({error.strerror}); the lists are in {folder}; read them from there, or use a file "
            "system with symbolic links"
        ) from None
    return link
