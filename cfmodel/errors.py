"""Every error cfmodel raises on purpose.

CFModelError
├── ConfigError      a setting is outside what it may be
├── DataError        the ratings themselves: schema, range, duplicates, empty
├── VocabularyError  an id the model was not trained on, where one was asked for by name
├── DigestError      a file is not the one its ref names
├── DiskFullError    there is no room for what is to be written
├── DeviceError      the device asked for is not there
├── TrackingError    the tracking store refused or is away
│   └── StoreAwayError   it is away: what it was told now, it may take later
├── CheckpointError  a training cannot be kept for later, or gone on with
├── LeaseError       another process is at work on the run
├── PublishError     recommendations are not fit to be published
├── DivergedError    loss or gradient is no longer finite
└── UnhealthyError   training is finite, and its gradients say that it will come to nothing

A message says where, what, what was expected and what to do. Commands print it and exit
with status 1; a traceback reaches a user only for a bug.
"""


class CFModelError(Exception):
    """Base of every error a user can act on."""


class ConfigError(CFModelError):
    """A setting is unknown or outside what it may be."""


class DataError(CFModelError):
    """The ratings cannot be used as they are: schema, range, empty, unreadable."""


class VocabularyError(CFModelError):
    """An id was asked for by name that the model was not trained on."""


class DigestError(CFModelError):
    """A file is not the one its ref names: changed, damaged or missing."""


class DiskFullError(CFModelError):
    """There is no room for what is to be written; what was there before is whole."""


class DeviceError(CFModelError):
    """The device asked for is not there."""


class TrackingError(CFModelError):
    """The tracking store refused or is away."""


class StoreAwayError(TrackingError):
    """The tracking store does not answer, or cannot write; the same may go well later."""


class CheckpointError(CFModelError):
    """A training cannot be kept for later, or cannot be gone on with."""


class LeaseError(CFModelError):
    """Another process is at work on the run."""


class PublishError(CFModelError):
    """Recommendations are not fit to be published, or cannot be."""


class DivergedError(CFModelError):
    """Loss, gradient or weights are no longer finite.

    Attributes:
        step: First update of which that was seen, from 1 since the phase began; None where it is not known.
    """

    def __init__(self, message: str, *, step: int | None = None) -> None:
        super().__init__(message)
        self.step = step


class UnhealthyError(CFModelError):
    """Training is finite, but its gradients say that it will come to nothing, and it was to stop then."""
