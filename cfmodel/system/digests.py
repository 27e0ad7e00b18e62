"""SHA-256 of files, of text and of cfmodel's own code."""

import hashlib
from pathlib import Path


def sha256_of_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_text(*parts: str) -> str:
    """Return the SHA-256 of texts, in hexadecimal; `("ab", "c")` and `("a", "bc")` differ."""
    digest = hashlib.sha256()
    for part in parts:
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(8, "little"))
        digest.update(encoded)
    return digest.hexdigest()


def code_digest() -> str:
    """Return the SHA-256 over the names and bytes of all source files of cfmodel, in the order of their names."""
    root = Path(__file__).parents[1]
    sources = sorted((path.relative_to(root).as_posix(), path) for path in root.rglob("*.py"))
    return sha256_of_text(*(text for name, path in sources for text in (name, sha256_of_file(path))))
