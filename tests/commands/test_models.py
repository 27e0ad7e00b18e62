"""`cfmodel promote`, `rollback`, `recommend` and `similar` as a person runs them."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from teams import Team

from cfmodel import tracking
from cfmodel.cli import main


@pytest.fixture(scope="module")
def team(mlflow_store: str, tmp_path_factory: pytest.TempPathFactory) -> Team:
    """Return a team whose champion took over from another, and whose challenger is no better."""
    made = Team.new(mlflow_store, tmp_path_factory.mktemp("models"))
    for epochs in (4, 12):
        made.challenger(epochs=epochs)
        assert tracking.promote(made.settings).is_promotion
    made.challenger(epochs=1)
    return made


def run(team: Team, *arguments: str) -> Result:
    own = {"promotion.model_name": team.name, "tracking.uri": team.settings.tracking.uri}
    own |= {"tracking.experiment": team.settings.tracking.experiment, "scoring.k": "3"}
    sets = [part for name, value in own.items() for part in ("--set", f"{name}={value}")]
    return CliRunner().invoke(main, [*arguments, *sets], catch_exceptions=False)


def test_promote_shows_what_was_compared_and_why_it_was_refused(team: Team) -> None:
    shown = run(team, "promote")
    assert shown.exit_code == 0
    assert "that no model was trained on" in shown.output
    for row in ("challenger (version 3)", "champion (version 2)", "damped biases"):
        assert row in shown.output
    assert f"{team.name} version 3: refused\n- not better than the champion: RMSE" in shown.output


def test_rollback_and_back(team: Team) -> None:
    assert f"{team.name} version 1 is the champion again, in place of 2" in run(team, "rollback").output
    assert "version 2 is the champion again, in place of 1" in run(team, "rollback", "--to", "2").output
    refused = run(team, "rollback", "--to", "2")
    assert refused.exit_code == 1
    assert "version 2" in refused.output
    assert "is the champion already" in refused.output


def test_recommend_prints_a_table_with_titles_where_they_are_known(team: Team, tmp_path: Path) -> None:
    plain = run(team, "recommend", "--user", "17")
    assert "For user 17, less" in plain.output
    assert f"by {team.name} version 2 (champion):" in plain.output
    assert "title" not in plain.output
    titles = tmp_path / "movies.csv"
    titles.write_text("id,title\n" + "\n".join(f"{number},Film [red]{number}" for number in range(80)))
    titled = run(team, "recommend", "--user", "17", "--set", f"scoring.titles={titles}")
    assert titled.output.count("Film [red]") == 3


def test_somebody_new_and_a_movies_likes(team: Team) -> None:
    assert "For somebody new with 2 ratings, by" in run(team, "recommend", "--rated", "3=5", "--rated", "7=1").output
    assert "Like movie 3, by" in run(team, "similar", "--movie", "3").output
    assert "by the model of run" in run(team, "similar", "--movie", "3", "--model", _newest_run(team)).output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("recommend",), "say who: --user ID, or --rated MOVIE=STARS"),
        (("recommend", "--user", "1", "--rated", "3=5"), "say who: --user ID, or --rated MOVIE=STARS"),
        (("recommend", "--rated", "3=many"), "--rated 3=many: expected MOVIE=STARS"),
        (("recommend", "--user", "nobody"), "id 'nobody' is not among the"),
        (("similar", "--movie", "nothing"), "id 'nothing' is not among the"),
        (("recommend", "--user", "1", "--model", "unheard-of"), "no run with the id or name 'unheard-of'"),
        (("promote", "--version", "99"), "has no version or alias '99'"),
        (("promote", "--version", "1", "--run", "nightly"), "say which: --version"),
        (("promote", "--run", "nightly"), "no run with the id or name 'nightly'"),
    ],
)
def test_a_question_that_cannot_be_answered_says_why(team: Team, arguments: tuple[str, ...], said: str) -> None:
    refused = run(team, *arguments)
    assert refused.exit_code == 1
    assert said in refused.output


def _newest_run(team: Team) -> str:
    version = tracking.version_of(str(team.settings.tracking.uri), team.name, "3")
    return version.run_id
