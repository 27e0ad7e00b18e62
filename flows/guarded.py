"""Flows that refuse a secret among their parameters: Prefect itself stores parameters before it looks at them."""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from prefect import Flow

from cfmodel.errors import ConfigError
from cfmodel.system.addresses import secret_among

P = ParamSpec("P")
R = TypeVar("R")


class GuardedFlow(Flow[P, R]):
    """A flow none of whose parameters may be an address with a password or key."""

    def serialize_parameters(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Return parameters as Prefect stores them; every way to a flow run leads through here.

        Raises:
            ConfigError: One holds a password or key.
        """
        stored = super().serialize_parameters(parameters)
        if (name := secret_among(stored)) is not None:
            raise ConfigError(
                f"{name} holds a password or key, and Prefect stores and shows the parameters of a run; leave it to "
                "the store's own configuration where the flow runs"
            )
        return stored

    def with_options(self, **changed: Any) -> "GuardedFlow[P, R]":
        """Return the same flow with some options changed, as guarded as this one."""
        flow = super().with_options(**changed)
        flow.__class__ = type(self)  # Prefect makes a plain one
        assert isinstance(flow, GuardedFlow)
        return flow


def flow(*, name: str) -> Callable[[Callable[P, R]], GuardedFlow[P, R]]:
    """Make a function a guarded flow; in place of Prefect's decorator, by whose name it finds flows in a file."""
    return lambda function: GuardedFlow(function, name=name)
