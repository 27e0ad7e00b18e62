"""Every error that cfmodel raises on purpose.

CFModelError
├── ConfigError      a setting is unknown or out of range
├── DataError        the ratings cannot be used: schema, range, duplicates, empty
├── VocabularyError  an id was asked for that the model was not trained on
├── DigestError      a file is missing, damaged, or not the one its ref names
├── DiskFullError    the disk is full
├── DeviceError      the device is not available
├── TrackingError    the tracking store refused, or cannot be reached
│   └── StoreAwayError   it cannot be reached or written to now; a later try may succeed
├── CheckpointError  a checkpoint cannot be written, or a training cannot be resumed
├── LeaseError       another process is working on the run
├── PublishError     recommendations failed their checks, or cannot be published
├── DivergedError    loss, gradient or weights are no longer finite
├── UnhealthyError   training is finite, but its gradients show that it will not work
└── UnforeseenError  the system or a library failed where nothing of ours expected it

A message says where, what, what was expected and what to do. Commands print it and exit with status 1; a traceback
goes to a file that the message names.
"""


class CFModelError(Exception):
    """Base class of every error that a user can act on."""


class ConfigError(CFModelError):
    """A setting is unknown or out of range."""


class DataError(CFModelError):
    """The ratings cannot be used: schema, range, duplicates, empty, unreadable."""


class VocabularyError(CFModelError):
    """An id was asked for that the model was not trained on."""


class DigestError(CFModelError):
    """A file is missing, damaged, or not the one its ref names."""


class DiskFullError(CFModelError):
    """The disk is full; earlier files are unchanged."""


class DeviceError(CFModelError):
    """The device is not available."""


class TrackingError(CFModelError):
    """The tracking store refused, or cannot be reached."""


class StoreAwayError(TrackingError):
    """The tracking store cannot be reached or written to; a later try may succeed."""


class CheckpointError(CFModelError):
    """A checkpoint cannot be written, or a training cannot be resumed."""


class LeaseError(CFModelError):
    """Another process is working on the run."""


class PublishError(CFModelError):
    """Recommendations failed their checks, or cannot be published."""


class DivergedError(CFModelError):
    """Loss, gradient or weights are no longer finite.

    Attributes:
        step: First update where this was seen, counted from 1 in its phase; None if unknown.
    """

    def __init__(self, message: str, *, step: int | None = None) -> None:
        super().__init__(message)
        self.step = step


class UnhealthyError(CFModelError):
    """Training is finite, but its gradients show that it will not work, and the settings say to stop then."""


class UnforeseenError(CFModelError):
    """The system or a library failed where nothing of ours expected it; `cfmodel.system.last_net` puts it in words."""
