"""How far a store has taken a journal, in `sent.json` beside it."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Self

from cfmodel.errors import DigestError
from cfmodel.system import atomic

_NAME = "sent.json"


@dataclass(frozen=True)
class Sent:
    """What the store has of a run's journal.

    Losing it would cost time alone: what is sent twice is there once.

    Attributes:
        store: Address of the store, without passwords.
        position: Where in the journal the first entry begins that the store has not taken.
        run_id: The run's id in the store; None until there is one.
        experiment_id: The experiment it belongs to.
        name: Its name there.
        model_id: Id of the model recorded for it; None without one.
        refused: What the store will not have, and why, one sentence each.
        away_since: Since when the store is away, in seconds since 1970; None: it is not.
        retry_at: When to try it again.
    """

    store: str
    position: int = 0
    run_id: str | None = None
    experiment_id: str = ""
    name: str = ""
    model_id: str | None = None
    refused: tuple[str, ...] = ()
    away_since: float | None = None
    retry_at: float = 0.0

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read what lies beside a journal.

        Raises:
            DigestError: It is missing or damaged.
        """
        file = folder / _NAME
        try:
            fields = json.loads(file.read_text(encoding="utf-8"))
            return cls(**fields | {"refused": tuple(fields["refused"])})
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DigestError(f"{file}: cannot be read ({error}); move {folder} away to give the run up") from error

    def write(self, folder: Path) -> Self:
        """Write it beside a journal, whole or not at all."""
        with atomic.file(folder / _NAME) as temporary:
            temporary.write_text(json.dumps(asdict(self)), encoding="utf-8")
        return self

    def but(self, folder: Path, **changes: object) -> Self:
        """Write it with some fields changed, and return that."""
        return replace(self, **changes).write(folder)  # type: ignore[arg-type]
