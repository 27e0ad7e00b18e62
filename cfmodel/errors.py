"""Every error cfmodel raises on purpose.

CFModelError
├── ConfigError      a setting is outside what it may be
├── DataError        the ratings themselves: schema, range, duplicates, empty
├── VocabularyError  an id the model was not trained on, where one was asked for by name
├── DigestError      a file is not the one its ref names
├── DeviceError      the device asked for is not there
├── TrackingError    the tracking store refused or is away
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


class DeviceError(CFModelError):
    """The device asked for is not there."""


class TrackingError(CFModelError):
    """The tracking store refused or is away."""


class PublishError(CFModelError):
    """Recommendations are not fit to be published, or cannot be."""


class DivergedError(CFModelError):
    """Loss or gradient is no longer finite."""


class UnhealthyError(CFModelError):
    """Training is finite, but its gradients say that it will come to nothing, and it was to stop then."""
