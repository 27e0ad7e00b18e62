"""`cfmodel promote` and `cfmodel rollback` as a person runs them."""

from collections.abc import Callable

import pytest
from click.testing import Result
from refusals import remedy_of
from teams import Team

Run = Callable[..., Result]


def test_promote_prints_what_was_compared_and_why_it_was_refused(team: Team, run: Run) -> None:
    done = run("promote")
    assert done.exit_code == 0
    assert "that no model was trained on" in done.output
    for row in ("challenger (version 3)", "champion (version 2)", "damped biases"):
        assert row in done.output
    assert f"{team.name} version 3: refused\n- not better than the champion: RMSE" in done.output


def test_rollback_and_back(team: Team, run: Run) -> None:
    assert f"{team.name} version 1 is the champion again, in place of 2" in run("rollback").output
    assert "version 2 is the champion again, in place of 1" in run("rollback", "--to", "2").output
    refused = run("rollback", "--to", "2")
    assert refused.exit_code == 1
    assert "version 2" in refused.output
    assert "is the champion already" in refused.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--version", "99"), "has no version or alias '99'"),
        (("--version", "1", "--run", "nightly"), "give either --version, of a registered model, or --run"),
        (("--run", "nightly"), "no run with the id or name 'nightly'"),
    ],
)
def test_a_version_that_cannot_be_promoted_is_refused_with_the_reason(
    run: Run, arguments: tuple[str, ...], message: str
) -> None:
    refused = run("promote", *arguments)
    assert refused.exit_code == 1
    assert message in refused.output


@remedy_of("cfmodel/commands/promote.py", "give either --version")
@remedy_of("cfmodel/tracking/models/registry.py", "has no version or alias")
def test_either_a_version_or_a_run_is_promoted(team: Team, run: Run) -> None:
    assert "give either --version, of a registered" in run("promote", "--version", "3", "--run", "x").output
    assert "`cfmodel run` creates versions, and `cfmodel ui` lists them" in run("promote", "--version", "99").output
    assert f"{team.name} version 3: refused" in run("promote", "--version", "3").output
