"""SHA-256 of files, text and cfmodel's own code: what refs and caches hold on to."""

import hashlib
from pathlib import Path


def sha256_of_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_text(*parts: str) -> str:
    """Return the SHA-256 of some text, hexadecimal; where one part ends and the next begins matters."""
    digest = hashlib.sha256()
    for part in parts:
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(8, "little"))
        digest.update(encoded)
    return digest.hexdigest()


def code_digest() -> str:
    """Return the SHA-256 over every source file of cfmodel, names and bytes, in the order of their names."""
    root = Path(__file__).parents[1]
    sources = sorted((path.relative_to(root).as_posix(), path) for path in root.rglob("*.py"))
    return sha256_of_text(*(text for name, path in sources for text in (name, sha256_of_file(path))))
