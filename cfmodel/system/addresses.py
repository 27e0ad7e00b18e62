"""Addresses without what is secret in them: how they are shown, logged and stored."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

#: A colon within the authority that no port follows: what comes after it is a password, which may hold a slash.
_COLON = r"//[^/?#\s\[]*:(?!\d+(?:[?#/\s]|$))"
_WORDS = ("token", "secret", "passw", "sig", "credential", "key")
#: Part of a query that is named like a secret. In any case of letters, without a flag that JSON Schema does not have.
_NAMED = "|".join("".join(f"[{letter.upper()}{letter}]" for letter in word) for word in _WORDS)
_KEY = rf"[?&][^=&\s]*(?:{_NAMED})[^=&\s]*="

_USER = re.compile(rf"{_COLON}[^\s@]*@|//[^/\s]*@")
_VALUE = re.compile(rf"({_KEY})[^&\s'\"]+")

#: What an address without a secret matches, as JSON Schema's `pattern`. Prefect's command prints it as rich's markup,
#: so that no set in it begins like a tag, with a small letter or a slash.
WITHOUT_SECRETS = rf"^(?![\s\S]*(?:{_COLON}|{_KEY}))"


def shown(text: str) -> str:
    """Return an address, or a text with addresses, without the passwords and signatures they may hold."""
    return _VALUE.sub(r"\1***", _USER.sub("//***@", text))


def holds_password(address: str) -> bool:
    """Tell whether an address holds a password."""
    return re.search(_COLON, address) is not None


def holds_secret(address: str) -> bool:
    """Tell whether an address holds a password, or a signature or key in its query."""
    return re.search(WITHOUT_SECRETS, address) is None


def secret_among(tree: Any) -> str | None:
    """Return the dotted name of what holds a secret in a tree of settings; None: nothing does."""
    for name, value in leaves(tree):
        if holds_secret(name) or (isinstance(value, str) and holds_secret(value)):
            return shown(name)
    return None


def leaves(tree: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield what a tree of settings holds, by dotted name."""
    branches = tree.items() if isinstance(tree, Mapping) else enumerate(tree) if isinstance(tree, list) else None
    if branches is None:
        yield name, tree
        return
    for key, branch in branches:
        yield from leaves(branch, f"{name}.{key}".lstrip("."))
