"""A challenger compared with a champion, both really trained."""

from teams import Team

from cfmodel import tracking
from cfmodel.data.splitting.parts import load_part


def test_both_are_compared_on_the_same_rows_that_neither_was_trained_on(team: Team) -> None:
    mine, theirs = team.split(), team.split(seed=7)
    team.challenger(epochs=6, parts=theirs)
    tracking.promote(team.settings)
    challenger = team.challenger(epochs=12, parts=mine)
    decision = tracking.promote(team.settings)
    model = team.recommender_of(challenger)
    test, train = (load_part(mine, part, users=model.users, movies=model.movies) for part in ("test", "train"))
    taught = load_part(theirs, "train", users=model.users, movies=model.movies)
    learned = {pair for part in (train, taught) for pair in zip(part.user_idx, part.movie_idx, strict=True)}
    unseen = [pair for pair in zip(test.user_idx, test.movie_idx, strict=True) if pair not in learned]
    assert decision.comparison.rows == len(unseen)
    assert decision.comparison.left_out_rows == len(test) - len(unseen) > 100
    assert decision.comparison.same_data is False
    assert "trained on other data" in decision.reasons[-1]


def test_too_few_common_rows_decide_nothing(team: Team) -> None:
    first = team.challenger(epochs=2, parts=team.split(seed=7))
    strict = team.settings.model_copy(
        update={"promotion": team.settings.promotion.model_copy(update={"min_users": 170})}
    )
    assert tracking.promote(team.settings, first.number).version == first.number
    team.challenger(epochs=12)
    decision = tracking.promote(strict)
    assert decision.reasons[0].startswith("not comparable: only ")
    assert decision.comparison.against_damped_bias is None
