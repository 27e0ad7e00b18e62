"""`cfmodel recommend` and `cfmodel similar` as a person runs them."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from refusals import remedy_of
from teams import Team

from cfmodel import tracking
from cfmodel.column_statistics import RatingScale
from cfmodel.commands.recommend import decimals_of_lists

Run = Callable[..., Result]


def test_recommend_prints_a_table_with_titles_where_they_are_known(team: Team, run: Run, tmp_path: Path) -> None:
    plain = run("recommend", "--user", "17")
    assert "For user 17, without" in plain.output
    assert f"by {team.name} version 2 (champion):" in plain.output
    assert "title" not in plain.output
    titles = tmp_path / "movies.csv"
    titles.write_text("id,title\n" + "\n".join(f"{number},Film [red]{number}" for number in range(80)))
    titled = run("recommend", "--user", "17", "--set", f"scoring.titles={titles}")
    assert titled.output.count("Film [red]") == 3


def test_a_new_user_and_similar_movies(team: Team, run: Run) -> None:
    newest = tracking.version_of(str(team.settings.tracking.uri), team.name, "3").run_id
    assert "For a new user with 2 ratings, by" in run("recommend", "--rated", "3=5", "--rated", "7=1").output
    assert "Like movie 3, by" in run("similar", "--movie", "3").output
    assert "by the model of run" in run("similar", "--movie", "3", "--model", newest).output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("recommend",), "give either --user ID, or --rated MOVIE=STARS"),
        (("recommend", "--user", "1", "--rated", "3=5"), "give either --user ID, or --rated MOVIE=STARS"),
        (("recommend", "--rated", "3=many"), "--rated 3=many: expected MOVIE=STARS"),
        (("recommend", "--user", "nobody"), "id 'nobody' is not among the"),
        (("similar", "--movie", "nothing"), "id 'nothing' is not among the"),
        (("recommend", "--user", "1", "--model", "unheard-of"), "no run with the id or name 'unheard-of'"),
    ],
)
def test_a_question_that_cannot_be_answered_is_refused_with_the_reason(
    run: Run, arguments: tuple[str, ...], message: str
) -> None:
    refused = run(*arguments)
    assert refused.exit_code == 1
    assert message in refused.output


@remedy_of("cfmodel/commands/recommend.py", "give either --user ID")
@remedy_of("cfmodel/commands/recommend.py", "--rated {}: expected MOVIE=STARS")
@remedy_of("cfmodel/data/vocabulary.py", "self._unknown(str(id))")
def test_a_question_asked_as_the_refusal_says_is_answered(run: Run) -> None:
    assert "or --rated MOVIE=STARS once or more" in run("recommend").output
    assert "--rated 3: expected MOVIE=STARS, such as 42=4.5" in run("recommend", "--rated", "3").output
    assert run("recommend", "--rated", "42=4.5").exit_code == 0
    unknown = run("recommend", "--user", "1234").output
    near = unknown.partition("similar ids: '")[2].partition("'")[0]
    assert run("recommend", "--user", near).exit_code == 0, unknown


@pytest.mark.parametrize("stars", ["99", "-5", "nan", "inf"])
def test_a_rating_outside_the_learned_range_is_refused_with_the_range(run: Run, stars: str) -> None:
    refused = run("recommend", "--rated", f"3={stars}")
    assert refused.exit_code == 1
    assert f"rating {stars} of movie 3 is not within " in refused.output
    assert "the ratings that the model learned from; give one that is" in refused.output


@pytest.mark.parametrize(("std", "decimals"), [(1.05, 2), (1.05e-3, 5), (21.0, 1), (1.05e5, 0)])
def test_a_list_shows_a_hundredth_of_the_ratings_spread(std: float, decimals: int) -> None:
    assert decimals_of_lists(RatingScale(3.5, std)) == decimals
