"""Health checks that stop a training."""

from collections import deque
from dataclasses import replace

import pytest
from histories import history

from cfmodel.config import HealthSettings
from cfmodel.errors import UnhealthyError
from cfmodel.gradients.health.early_stop import HealthWatch
from cfmodel.gradients.recording.gradient_records import InitialRecord


def test_an_error_stops_a_training_after_its_epoch_if_the_settings_say_so() -> None:
    records = [
        replace(one, prediction_std=3.0) if isinstance(one, InitialRecord) else one for one in history(refit=False)
    ]
    for record in records:
        HealthWatch(HealthSettings())(record)
    watch = HealthWatch(HealthSettings(on_unhealthy="stop"))
    with pytest.raises(UnhealthyError, match=r"epoch 1: initialisation_too_large .*exploding.*train.init_std.*warn"):
        deque(map(watch, records), maxlen=0)


def test_a_sound_training_is_not_stopped() -> None:
    watch = HealthWatch(HealthSettings(on_unhealthy="stop"))
    for record in history():
        watch(record)
