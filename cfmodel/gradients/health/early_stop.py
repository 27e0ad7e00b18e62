"""Health checks during training, which stop an unhealthy one."""

from cfmodel.config import HealthSettings
from cfmodel.errors import UnhealthyError
from cfmodel.gradients.health.judge import judge_health
from cfmodel.gradients.health.verdicts import HealthReport
from cfmodel.gradients.recording.gradient_history import GradientHistory
from cfmodel.gradients.recording.gradient_records import EpochGradients, GradientRecord


class HealthWatch:
    """An `on_record` that judges the fit after each epoch, by the rules that work this early.

    It does so only if `settings.on_unhealthy` is `stop`; an error then ends the training. With `warn`, a
    training is judged only at its end.
    """

    def __init__(self, settings: HealthSettings) -> None:
        self._stops = settings.on_unhealthy == "stop"
        self._records: list[GradientRecord] = []

    def __call__(self, record: object) -> None:
        """Take one record; ignore those of other kinds.

        Raises:
            UnhealthyError: The record ends an epoch, and the worst verdict so far is an error.
        """
        if not self._stops or not isinstance(record, GradientRecord) or record.phase != "fit":
            return
        self._records.append(record)
        if isinstance(record, EpochGradients):
            require_health(judge_health(GradientHistory.of(self._records), early=True), where=f"epoch {record.epoch}")


def require_health(report: HealthReport, *, where: str) -> None:
    """Raise if a training is unhealthy.

    Raises:
        UnhealthyError: The worst verdict is an error; the message is that of the first verdict.
    """
    if report.overall == "error":
        raise UnhealthyError(f'{where}: {report.verdicts[0].sentence()}; set health.on_unhealthy to "warn" to continue')
