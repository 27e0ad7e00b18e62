"""Find and hide passwords and keys in addresses."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

#: A colon in the authority that no port follows: a password comes after it, which may contain a slash.
_COLON = r"//[^/?#\s\[]*:(?!\d+(?:[?#/\s]|$))"
_WORDS = ("token", "secret", "passw", "sig", "credential", "key")
#: Part of a query named like a secret, in any case of letters; JSON Schema has no flag for that.
_NAMED = "|".join("".join(f"[{letter.upper()}{letter}]" for letter in word) for word in _WORDS)
_KEY = rf"[?&][^=&\s]*(?:{_NAMED})[^=&\s]*="

_USER = re.compile(rf"{_COLON}[^\s@]*@|//[^/\s]*@")
_VALUE = re.compile(rf"({_KEY})[^&\s'\"]+")

#: Pattern for JSON Schema that addresses without a secret match. Prefect's command prints it as markup of rich, so no
#: set in it may begin like a tag, with a small letter or a slash.
WITHOUT_SECRETS = rf"^(?![\s\S]*(?:{_COLON}|{_KEY}))"


def redact(text: str) -> str:
    """Return an address, or a text with addresses, with passwords and signatures replaced by `***`."""
    return _VALUE.sub(r"\1***", _USER.sub("//***@", text))


def holds_password(address: str) -> bool:
    """Return whether an address holds a password."""
    return re.search(_COLON, address) is not None


def holds_secret(address: str) -> bool:
    """Return whether an address holds a password, or a signature or key in its query."""
    return re.search(WITHOUT_SECRETS, address) is None


def find_secret(tree: Any) -> str | None:
    """Return the dotted name of the first value with a secret in a tree of settings; None if there is none."""
    for name, value in leaves(tree):
        if holds_secret(name) or (isinstance(value, str) and holds_secret(value)):
            return redact(name)
    return None


def leaves(tree: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted name and the value of each leaf of a tree of settings; lists count from 0."""
    branches = tree.items() if isinstance(tree, Mapping) else enumerate(tree) if isinstance(tree, list) else None
    if branches is None:
        yield name, tree
        return
    for key, branch in branches:
        yield from leaves(branch, f"{name}.{key}".lstrip("."))
