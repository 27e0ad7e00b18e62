"""The errors that cfmodel raises on purpose."""

import cfmodel.errors
from cfmodel.errors import CFModelError

ERRORS = {name: error for name, error in vars(cfmodel.errors).items() if isinstance(error, type)}


def test_every_error_is_a_cfmodel_error_and_is_in_the_table_of_the_module() -> None:
    assert all(issubclass(error, CFModelError) for error in ERRORS.values())
    table = cfmodel.errors.__doc__ or ""
    assert [name for name in ERRORS if name not in table] == []
