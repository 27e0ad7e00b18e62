"""What a training has told so far, kept so that one that goes on after a break can tell all of it again.

Whoever listens (the tracking store, the archive of gradients, the health watch) then hears the same
records in the same order as from a training without a break, and needs no memory of its own.
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
from cfmodel.training.epoch_records import EpochRecord, OnRecord, StepProgress

_KINDS = {
    kind.__name__: kind
    for kind in (EpochRecord, InitialRecord, StepBlock, StepSample, EpochGradients, MonitorCost, Outcome)
}
#: Name of the tensor that holds the records' fields as JSON; their arrays are in one tensor per type.
_FIELDS = "fields"

_Pools = dict[str, list[np.ndarray]]


class RecordReplay:
    """An `on_record` that hands records on and keeps them, but for passing progress.

    Args:
        listener: Who the records are for.
        keeping: Whether `tensors` will be asked for.
    """

    def __init__(self, listener: OnRecord, *, keeping: bool = True) -> None:
        self._listener, self._keeping = listener, keeping
        self._held: list[Any] | None = None
        self._written: list[str] = []
        self._pools: _Pools = defaultdict(list)
        self._sizes: dict[str, int] = defaultdict(int)

    def __call__(self, record: Any) -> None:
        """Keep a record and hand it on."""
        if isinstance(record, StepProgress):
            self._listener(record)
        elif self._held is not None:
            self._held.append(record)
        else:
            if self._keeping:
                self._keep(record)
            self._listener(record)

    @contextmanager
    def held(self) -> Iterator[Callable[[], None]]:
        """Hold the records of a block back until it ends, however it ends.

        Yields:
            Forgets what is held, as if the block had never been tried.
        """
        held: list[Any] = []
        self._held = held
        try:
            yield held.clear
        finally:
            self._held = None
            for record in held:
                self(record)

    def tensors(self) -> dict[str, Tensor]:
        """Return all records so far as a few tensors, for a checkpoint."""
        written = np.frombuffer(f"[{','.join(self._written)}]".encode(), np.uint8)
        for kind, parts in self._pools.items():
            self._pools[kind] = [np.concatenate(parts)]
        arrays = {kind: parts[0] for kind, parts in self._pools.items()}
        return {name: torch.from_numpy(array.copy()) for name, array in {_FIELDS: written, **arrays}.items()}

    def replay(self, tensors: Mapping[str, Tensor]) -> None:
        """Hand on all that `tensors` once returned, in the order it was told, and go on from there."""
        for record in unpacked(tensors):
            self(record)

    def _keep(self, record: Any) -> None:
        plain = {"record": type(record).__name__, **self._packed(record)}
        self._written.append(json.dumps(plain, allow_nan=False))

    def _packed(self, value: Any) -> Any:
        """Return a value as JSON has it, its arrays put aside."""
        if isinstance(value, np.ndarray):
            return self._put_aside(value)
        if is_dataclass(value):
            return {field.name: self._packed(getattr(value, field.name)) for field in fields(value)}
        if isinstance(value, dict):
            return {key: self._packed(item) for key, item in value.items()}
        if isinstance(value, tuple | list):
            return [self._packed(item) for item in value]
        if isinstance(value, np.generic):
            value = value.item()
        return str(value) if isinstance(value, float) and not math.isfinite(value) else value

    def _put_aside(self, array: np.ndarray) -> dict[str, Any]:
        kind = str(array.dtype)
        start = self._sizes[kind]
        self._pools[kind].append(array.ravel())
        self._sizes[kind] += array.size
        return {"array": kind, "start": start, "shape": list(array.shape)}


def packed(records: Iterable[Any]) -> dict[str, Tensor]:
    """Return records as a few tensors, for a checkpoint."""
    log = RecordReplay(lambda _: None)
    for record in records:
        log(record)
    return log.tensors()


def unpacked(tensors: Mapping[str, Tensor]) -> Iterator[Any]:
    """Yield the records that `packed` or `RecordReplay.tensors` packed, equal to the last bit."""
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
