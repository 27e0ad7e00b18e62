"""`cfmodel recommend` and `cfmodel similar`: print lists of movies by a recorded model."""

from collections.abc import Iterable

import numpy as np
from rich.console import Console
from rich.text import Text

from cfmodel import tracking
from cfmodel.column_statistics import RatingScale
from cfmodel.commands.printing import new_table, print_line
from cfmodel.config import PipelineSettings
from cfmodel.data.sources.titles import find_titles, read_titles
from cfmodel.errors import ConfigError
from cfmodel.recommending.suggest import (
    Suggestion,
    list_suggestions,
    ratings_by_id,
    similar_movies,
    suggest,
    suggest_to_new,
)
from cfmodel.recommending.top_k import Lists
from cfmodel.tracking import LoadedModel


def recommend(
    settings: PipelineSettings, *, user_id: str | None, rated: Iterable[str], model: str | None, console: Console
) -> None:
    """Print the best movies for a user that they have not seen.

    Args:
        settings: The store of the models, and the length of the list.
        user_id: A user the model was trained on.
        rated: The ratings of a new user instead, each as `MOVIE=STARS`.
        model: A version, an alias or a run; None: the champion.

    Raises:
        ConfigError: Neither or both of user and ratings are given, or a rating is not `MOVIE=STARS`.
        VocabularyError: The model was not trained on the user.
    """
    given = _ratings(rated)
    if (user_id is None) == (not given):
        raise ConfigError("give either --user ID, or --rated MOVIE=STARS once or more for a new user")
    loaded = tracking.load_model(settings, model)
    recommender, k = loaded.recommender, settings.scoring.k
    if user_id is None:
        lists = suggest_to_new(recommender, ratings_by_id(recommender, given), 1, k=k)
        title = f"a new user with {len(given)} rating{'s' * (len(given) > 1)}"
    else:
        row = np.array([recommender.users.row_of(user_id)])
        lists = suggest(recommender, row, k=k)
        title = f"user {user_id}{_seen(loaded, row)}"
    # Clip what is printed to the range of the ratings; the order is that of the raw scores.
    clipped = Lists(lists.movie_idx, lists.score.clip(recommender.rating_min, recommender.rating_max))
    _print_list(
        list_suggestions(clipped, recommender),
        loaded,
        settings,
        f"For {title}",
        "predicted rating",
        console,
        decimals_of_lists(recommender.model.scale),
    )


def show_similar(settings: PipelineSettings, *, movie_id: str, model: str | None, console: Console) -> None:
    """Print the movies most similar to one.

    Raises:
        VocabularyError: The model was not trained on the movie.
    """
    loaded = tracking.load_model(settings, model)
    recommender = loaded.recommender
    lists = similar_movies(recommender, recommender.movies.row_of(movie_id), k=settings.scoring.k)
    title = f"Like {_named(movie_id, _titles(loaded, settings))}"
    _print_list(list_suggestions(lists, recommender), loaded, settings, title, "likeness", console, decimals=2)


def decimals_of_lists(scale: RatingScale) -> int:
    """Return how many decimals show a hundredth of the ratings' standard deviation: 2 for stars."""
    return max(0, scale.decimals - 2)


def _ratings(rated: Iterable[str]) -> dict[str, float]:
    given = {}
    for text in rated:
        movie, equals, stars = text.rpartition("=")
        try:
            given[movie] = float(stars)
        except ValueError:
            equals = ""
        if not equals or not movie:
            raise ConfigError(f"--rated {text}: expected MOVIE=STARS, such as 42=4.5")
    return given


def _seen(loaded: LoadedModel, row: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> str:
    history = loaded.recommender.history
    return "" if history is None else f", without {int(history.seen.counts(row)[0]):,} movies seen"


def _titles(loaded: LoadedModel, settings: PipelineSettings) -> dict[str, str]:
    path = settings.scoring.titles
    if path is None:
        path = find_titles(loaded.run.params.get("source", ""), folder=settings.runtime.data_dir)
    return {} if path is None else read_titles(path)


def _named(movie_id: str, titles: dict[str, str]) -> str:
    return f"{titles[movie_id]} ({movie_id})" if movie_id in titles else f"movie {movie_id}"


def _print_list(
    suggestions: list[Suggestion],
    loaded: LoadedModel,
    settings: PipelineSettings,
    title: str,
    measure: str,
    console: Console,
    decimals: int,
) -> None:
    titles = _titles(loaded, settings)
    print_line(console, f"{title}, by {loaded.name}:")
    table = new_table()
    table.add_column("", justify="right")
    table.add_column("movie")
    if titles:
        table.add_column("title")
    table.add_column(measure, justify="right")
    for each in suggestions:
        # As Text, an id or title in brackets is not markup.
        cells = [Text(each.movie_id), *([Text(titles.get(each.movie_id, ""))] if titles else [])]
        table.add_row(str(each.rank), *cells, f"{each.score:.{decimals}f}")
    console.print(table)
