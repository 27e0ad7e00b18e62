"""Records as plain JSON values and back."""

import json
import math

import numpy as np
import pytest
from histories import OTHER_SIDES, OTHERS, history

from cfmodel.gradients.recording.gradient_records import InitialRecord, Outcome
from cfmodel.gradients.recording.plain_json import from_plain, to_plain

OUTCOME = Outcome("fit", (0.9, math.inf), 10, math.nan, 0.95, 1.0)


def test_a_record_comes_back_with_numbers_that_are_not_finite() -> None:
    plain = json.loads(json.dumps(to_plain(OUTCOME), allow_nan=False))
    found = from_plain(Outcome, plain | {"a later version's": 1})
    assert found.val_rmse == (0.9, math.inf)
    assert np.isnan(found.global_mean_rmse)


def test_a_missing_field_is_refused_and_an_optional_one_has_its_default() -> None:
    plain = to_plain(OUTCOME)
    del plain["val_rows"]
    with pytest.raises(KeyError, match="val_rows"):
        from_plain(Outcome, plain)
    plain = to_plain(OUTCOME)
    del plain["start_rmse"]
    assert from_plain(Outcome, plain).start_rmse == math.inf
    plain = to_plain(history(epochs=1)[0])
    assert "sides" not in plain
    assert from_plain(InitialRecord, plain).sides == {}


def test_an_optional_field_that_is_set_is_kept() -> None:
    plain = to_plain(history(epochs=1, tables=OTHERS, sides=OTHER_SIDES)[0])
    assert from_plain(InitialRecord, plain).sides == OTHER_SIDES
