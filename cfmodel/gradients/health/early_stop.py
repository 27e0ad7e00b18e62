"""Looks at training's health while it goes on, and stops it where it is told to."""

from cfmodel.config import HealthSettings
from cfmodel.errors import UnhealthyError
from cfmodel.gradients.health.judge import judge
from cfmodel.gradients.health.verdicts import HealthReport
from cfmodel.gradients.recording.gradient_history import GradientHistory
from cfmodel.gradients.recording.gradient_records import EpochGradients, GradientRecord


class HealthWatch:
    """An `on_record` that judges the fit at the end of each epoch, by the rules that can tell that early.

    It keeps what the monitor says of the fit. Where `settings.on_unhealthy` is `stop`, an error ends
    the training; where it is `warn`, nothing is looked at before the end.
    """

    def __init__(self, settings: HealthSettings) -> None:
        self._stops = settings.on_unhealthy == "stop"
        self._records: list[GradientRecord] = []

    def __call__(self, record: object) -> None:
        """Take one record; records of other kinds pass unheeded.

        Raises:
            UnhealthyError: An epoch has ended, and its gradients call for a stop.
        """
        if not self._stops or not isinstance(record, GradientRecord) or record.phase != "fit":
            return
        self._records.append(record)
        if isinstance(record, EpochGradients):
            require_health(judge(GradientHistory.of(self._records), early=True), where=f"epoch {record.epoch}")


def require_health(report: HealthReport, *, where: str) -> None:
    """Refuse to go on where there is an error.

    Raises:
        UnhealthyError: The worst verdict is an error; the message is that of the first.
    """
    if report.overall == "error":
        raise UnhealthyError(f'{where}: {report.verdicts[0].sentence()}; set health.on_unhealthy to "warn" to go on')
