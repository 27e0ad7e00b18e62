"""Flows that refuse a password or key among their parameters."""

from collections.abc import Callable
from copy import copy
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from prefect import Flow

from cfmodel.errors import CFModelError, ConfigError
from cfmodel.system.addresses import find_secret
from cfmodel.system.last_net import unforeseen

P = ParamSpec("P")
R = TypeVar("R")


class GuardedFlow(Flow[P, R]):
    """A flow none of whose parameters may be an address with a password or key.

    Prefect stores the parameters of a run before it validates them, and has no hook in between. It serializes them
    first, on every way to a flow run: that is the one place to refuse a secret before it is in Prefect's database.
    """

    def serialize_parameters(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Return parameters as Prefect stores them.

        Raises:
            ConfigError: One holds a password or key.
        """
        stored = super().serialize_parameters(parameters)
        if (name := find_secret(stored)) is not None:
            raise ConfigError(
                f"{name} holds a password or key, and Prefect stores and shows the parameters of a run; leave it to "
                "the store's own configuration where the flow runs"
            )
        return stored

    def with_options(self, **changed: Any) -> "GuardedFlow[P, R]":
        """Return the same flow with some options changed; Prefect's own method would make a plain `Flow`."""
        guarded = copy(self)
        vars(guarded).update(vars(super().with_options(**changed)))
        return guarded


def flow(*, name: str) -> Callable[[Callable[P, R]], GuardedFlow[P, R]]:
    """Make a function a guarded flow; named as Prefect's decorator, by which Prefect finds the flows in a file."""
    return lambda function: GuardedFlow(_in_words(function), name=name)


def _in_words(function: Callable[P, R]) -> Callable[P, R]:
    """Give a flow the last net: an error that nobody foresaw becomes one sentence, after the retries of the task."""
    from httpx import TransportError

    @wraps(function)
    def guarded(*arguments: P.args, **named: P.kwargs) -> R:
        try:
            return function(*arguments, **named)
        except (CFModelError, TransportError):  # `flows.outage` is for a server that is away
            raise
        except Exception as error:
            raise unforeseen(error) from error

    return guarded
