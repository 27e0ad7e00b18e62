"""`make notify`: have Prefect call a webhook when a run of ours goes wrong or does not start."""

import sys
from typing import Any
from uuid import UUID

import click

from cfmodel.errors import CFModelError
from flows.api import configured_url, local_url, require_answer

NAME = "cfmodel-webhook"
#: Late is a run that no worker took: the one sign of a worker that was gone before the run began.
STATES = ("Crashed", "Failed", "Late", "TimedOut")
#: What chat services take; Prefect fills it in.
PAYLOAD = (
    '{"text": "{{ flow.name }}/{{ deployment.name }}: run {{ flow_run.name }} is {{ flow_run.state.name }}. '
    '{{ flow_run|ui_url }}"}'
)


@click.command()
@click.argument("webhook")
def main(webhook: str) -> None:
    """POST {"text": ...} to WEBHOOK for every run that failed, crashed or is late."""
    try:
        notify(webhook)
    except CFModelError as refusal:
        sys.exit(f"Error: {refusal}")


def notify(webhook: str) -> None:
    """Keep the webhook's address in a Prefect block, where it is encrypted, and make the automation that calls it.

    Raises:
        CFModelError: No Prefect server answers.
    """
    from prefect.blocks.webhook import Webhook
    from prefect.settings import PREFECT_API_URL, temporary_settings

    url = configured_url() or local_url()
    require_answer(url, remedy="start it, or run `make deploy`")
    with temporary_settings({PREFECT_API_URL: url}):
        headers = {"Content-Type": "application/json"}
        block = Webhook.model_validate({"url": webhook, "headers": headers}).save(NAME, overwrite=True)
        assert isinstance(block, UUID)  # a coroutine only inside an event loop
        _replace(automation(block))
    print(f"Prefect at {url} calls the webhook in its block {NAME} when a run is {', '.join(STATES)}.")


def automation(block: UUID) -> dict[str, Any]:
    """Return the automation that calls the webhook in a block."""
    return {
        "name": NAME,
        "description": "Tell the webhook about runs that went wrong or did not start.",
        "trigger": {
            "type": "event",
            "posture": "Reactive",
            "match": {"prefect.resource.id": "prefect.flow-run.*"},
            "match_related": {"prefect.resource.id": "prefect.tag.cfmodel", "prefect.resource.role": "tag"},
            "expect": [f"prefect.flow-run.{state}" for state in STATES],
            "threshold": 1,
        },
        "actions": [{"type": "call-webhook", "block_document_id": str(block), "payload": PAYLOAD}],
    }


def _replace(wanted: dict[str, Any]) -> None:
    """Make an automation in the place of those of its name."""
    from prefect.client.orchestration import get_client
    from prefect.events.schemas.automations import AutomationCore

    with get_client(sync_client=True) as client:
        for earlier in client.read_automations_by_name(wanted["name"]):
            client.delete_automation(earlier.id)
        client.create_automation(AutomationCore.model_validate(wanted))


if __name__ == "__main__":
    main()
