"""The task that scores users."""

from collections.abc import Callable
from typing import Any

from prefect.runtime import flow_run

from tasks.score import score_users


def test_the_users_asked_for_get_their_lists_and_prefects_page_a_summary(
    pieces: Any, in_flow: Callable[[Callable[[], Any]], Any], artifact_of: Callable[[str, str], str]
) -> None:
    seen: list[str] = []

    def score() -> Any:
        seen.append(str(flow_run.get_id()))
        return score_users(pieces.run.run_id, ["1", "2"], pieces.settings)

    ref = in_flow(score)
    assert (ref.users, ref.rows) == (2, 2 * pieces.settings.scoring.k)
    assert f"**{ref.rows:,} recommendations to 2 users** by" in artifact_of(seen[0], "recommendations")
