"""`make notify`: have Prefect call a webhook when a run fails or does not start."""

from typing import Any
from uuid import UUID

import click

from flows.api import configured_url, local_url, require_answer
from flows.console import one_line_of_error

_NAME = "cfmodel-webhook"
#: Late: no worker took the run, which is the only sign that the worker was gone before.
_STATES = ("Crashed", "Failed", "Late", "TimedOut")
#: JSON as chat services expect it; Prefect fills it in.
_PAYLOAD = (
    '{"text": "{{ flow.name }}/{{ deployment.name }}: run {{ flow_run.name }} is {{ flow_run.state.name }}. '
    '{{ flow_run|ui_url }}"}'
)


@click.command()
@click.argument("webhook")
def main(webhook: str) -> None:
    """POST {"text": ...} to the address WEBHOOK for every run that failed, crashed or is late."""
    with one_line_of_error():
        notify(webhook)


def notify(webhook: str) -> None:
    """Store the webhook's address in a Prefect block, which is encrypted, and create the automation that calls it.

    Raises:
        CFModelError: No Prefect server answers.
    """
    from prefect.blocks.webhook import Webhook
    from prefect.settings import PREFECT_API_URL, temporary_settings

    url = configured_url() or local_url()
    require_answer(url, remedy="start it, or run `make deploy`")
    with temporary_settings({PREFECT_API_URL: url}):
        headers = {"Content-Type": "application/json"}
        block = Webhook.model_validate({"url": webhook, "headers": headers}).save(_NAME, overwrite=True)
        assert isinstance(block, UUID)  # a coroutine only inside an event loop
        _replace_automation(automation(block))
    print(f"Prefect at {url} calls the webhook in its block {_NAME} when a run is {', '.join(_STATES)}.")


def automation(block: UUID) -> dict[str, Any]:
    """Return the automation that calls the webhook in a block."""
    return {
        "name": _NAME,
        "description": "Call the webhook when a run fails or does not start.",
        "trigger": {
            "type": "event",
            "posture": "Reactive",
            "match": {"prefect.resource.id": "prefect.flow-run.*"},
            "match_related": {"prefect.resource.id": "prefect.tag.cfmodel", "prefect.resource.role": "tag"},
            "expect": [f"prefect.flow-run.{state}" for state in _STATES],
            "threshold": 1,
        },
        "actions": [{"type": "call-webhook", "block_document_id": str(block), "payload": _PAYLOAD}],
    }


def _replace_automation(wanted: dict[str, Any]) -> None:
    """Create an automation and delete the earlier ones of its name."""
    from prefect.client.orchestration import get_client
    from prefect.events.schemas.automations import AutomationCore

    with get_client(sync_client=True) as client:
        for earlier in client.read_automations_by_name(wanted["name"]):
            client.delete_automation(earlier.id)
        client.create_automation(AutomationCore.model_validate(wanted))


if __name__ == "__main__":
    main()
