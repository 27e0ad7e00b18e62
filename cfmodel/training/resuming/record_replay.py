"""The records of a training so far, stored in checkpoints so that a resumed training can emit them again.

The receivers of records (the tracking store, the gradient archive, the health check) then get the same records
in the same order as from a training without interruption, and need no state of their own.
"""

import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cfmodel.gradients.recording.gradient_records import (
    EpochGradients,
    InitialRecord,
    MonitorCost,
    Outcome,
    StepBlock,
    StepSample,
)
from cfmodel.gradients.recording.plain_json import from_plain
from cfmodel.training.epoch_records import EpochRecord, OnRecord, StartRecord, StepProgress

_KINDS = {
    kind.__name__: kind
    for kind in (StartRecord, EpochRecord, InitialRecord, StepBlock, StepSample, EpochGradients, MonitorCost, Outcome)
}
#: Name of the tensor that holds the records' fields as JSON; their arrays are in one tensor per type.
_FIELDS = "fields"

_Pools = dict[str, list[np.ndarray]]


class RecordReplay:
    """An `on_record` that forwards records, and stores them for a checkpoint unless they are progress.

    Args:
        on_record: Receives the records; None: nobody does.
        store: Whether to store them for `tensors`.
    """

    def __init__(self, on_record: OnRecord | None = None, *, store: bool = True) -> None:
        self._on_record, self._stores = on_record or (lambda _: None), store
        self._deferred: list[Any] | None = None
        self._written: list[str] = []
        self._pools: _Pools = defaultdict(list)
        self._sizes: dict[str, int] = defaultdict(int)

    def __call__(self, record: Any) -> None:
        """Store and forward a record."""
        if isinstance(record, StepProgress):
            self._on_record(record)
        elif self._deferred is not None:
            self._deferred.append(record)
        else:
            if self._stores:
                self._store(record)
            self._on_record(record)

    @contextmanager
    def deferred(self) -> Iterator[Callable[[], None]]:
        """Defer the records of a block to its end, even if it raises.

        Yields:
            A function that discards the records so far.
        """
        deferred: list[Any] = []
        self._deferred = deferred
        try:
            yield deferred.clear
        finally:
            self._deferred = None
            for record in deferred:
                self(record)

    def tensors(self) -> dict[str, Tensor]:
        """Return all records so far as a few tensors, for a checkpoint."""
        written = np.frombuffer(f"[{','.join(self._written)}]".encode(), np.uint8)
        for kind, parts in self._pools.items():
            self._pools[kind] = [np.concatenate(parts)]
        arrays = {kind: parts[0] for kind, parts in self._pools.items()}
        return {name: torch.from_numpy(array.copy()) for name, array in {_FIELDS: written, **arrays}.items()}

    def replay(self, tensors: Mapping[str, Tensor]) -> None:
        """Store and forward the records that `tensors` returned, in their order."""
        for record in unpack_records(tensors):
            self(record)

    def _store(self, record: Any) -> None:
        plain = {"record": type(record).__name__, **self._packed(record)}
        self._written.append(json.dumps(plain, allow_nan=False))

    def _packed(self, value: Any) -> Any:
        """Return a value as JSON, with references in place of arrays."""
        if isinstance(value, np.ndarray):
            return self._pooled(value)
        if is_dataclass(value):
            return {field.name: self._packed(getattr(value, field.name)) for field in fields(value)}
        if isinstance(value, dict):
            return {key: self._packed(item) for key, item in value.items()}
        if isinstance(value, tuple | list):
            return [self._packed(item) for item in value]
        if isinstance(value, np.generic):
            value = value.item()
        return str(value) if isinstance(value, float) and not math.isfinite(value) else value

    def _pooled(self, array: np.ndarray) -> dict[str, Any]:
        """Add an array to the pool of its type; return the reference."""
        kind = str(array.dtype)
        start = self._sizes[kind]
        self._pools[kind].append(array.ravel())
        self._sizes[kind] += array.size
        return {"array": kind, "start": start, "shape": list(array.shape)}


def pack_records(records: Iterable[Any]) -> dict[str, Tensor]:
    """Return records as a few tensors, for a checkpoint."""
    replay = RecordReplay()
    for record in records:
        replay(record)
    return replay.tensors()


def unpack_records(tensors: Mapping[str, Tensor]) -> Iterator[Any]:
    """Yield the records of `pack_records` or `RecordReplay.tensors`, equal bit for bit."""
    pools = {name: tensor.numpy() for name, tensor in tensors.items()}
    for entry in json.loads(pools[_FIELDS].tobytes()):
        kind = _KINDS[entry.pop("record")]
        yield from_plain(kind, _with_arrays(entry, pools))


def _with_arrays(value: Any, pools: Mapping[str, np.ndarray]) -> Any:
    if isinstance(value, list):
        return [_with_arrays(item, pools) for item in value]
    if not isinstance(value, dict):
        return value
    if "array" not in value:
        return {key: _with_arrays(item, pools) for key, item in value.items()}
    shape = value["shape"]
    part = pools[value["array"]][value["start"] : value["start"] + math.prod(shape)]
    return part.reshape(shape).copy()
