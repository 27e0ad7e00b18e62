"""The automation that calls a webhook."""

from uuid import UUID

from prefect.events.schemas.automations import AutomationCore

from flows.notify import automation


def test_prefect_accepts_the_automation_for_runs_tagged_cfmodel_that_fail_crash_or_are_late() -> None:
    block = UUID(int=7)
    made = AutomationCore.model_validate(automation(block))
    assert made.name == "cfmodel-webhook"
    assert made.trigger.expect == {f"prefect.flow-run.{state}" for state in ("Crashed", "Failed", "Late", "TimedOut")}
    assert made.actions[0].block_document_id == block
