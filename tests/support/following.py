"""Refusals that a test causes, and the words of each."""

import re
from contextlib import AbstractContextManager

import pytest

from cfmodel.errors import CFModelError


def refused(*words: str) -> AbstractContextManager[pytest.ExceptionInfo[CFModelError]]:
    """Expect a refusal whose text has these words, in this order."""
    return pytest.raises(CFModelError, match=".*".join(map(re.escape, words)))
