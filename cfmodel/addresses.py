"""Addresses without what is secret in them: how they are shown, logged and stored."""

import re

_PASSWORD = re.compile(r"//[^/\s:@]*:[^/\s@]+@")
_USER = re.compile(r"//[^/\s]*@")
_KEY = re.compile(r"([?&][^=&\s]*(?:token|secret|passw|sig|credential|key)[^=&\s]*=)[^&\s'\"]+", re.IGNORECASE)


def shown(text: str) -> str:
    """Return an address, or a text with addresses, without the passwords and signatures they may hold."""
    return _KEY.sub(r"\1***", _USER.sub("//***@", text))


def holds_password(address: str) -> bool:
    """Tell whether an address holds a password."""
    return _PASSWORD.search(address) is not None
