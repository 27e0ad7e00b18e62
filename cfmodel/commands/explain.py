"""`cfmodel explain`: explain the gradient of one rating with a run's own numbers."""

from rich.console import Console
from rich.text import Text

from cfmodel import tracking
from cfmodel.config import PipelineSettings
from cfmodel.data.splitting.parts import read_split
from cfmodel.gradients.lesson.lesson_records import Lesson
from cfmodel.gradients.lesson.text import lesson_sections
from cfmodel.recommending.recommender import Recommender
from cfmodel.tracking import RunSummary
from cfmodel.training.explain import explain
from cfmodel.training.resuming.adam_state import SavedAdamState, adam_state_path

_STYLES = (("●", "bold red"), ("○", "green"), ("▾", "bold"), ("Error decreased!", "green"), ("Error increased!", "red"))


def explain_run(
    settings: PipelineSettings, *, run: str | None, user_id: str | None, movie_id: str | None, console: Console
) -> Lesson:
    """Print the lesson of a run, by default of the newest finished one, and return it.

    Raises:
        TrackingError: The run does not exist.
        DigestError: The run's data or model on disk is missing or changed.
        VocabularyError: An id is unknown to the model.
        DataError: The user has not rated the movie.
    """
    found = tracking.find_run(settings.tracking, run)
    split_folder, model_folder = tracking.data_folders(found, settings.runtime.data_dir)
    lesson = explain(
        Recommender.load(model_folder),
        read_split(split_folder),
        tracking.train_settings_of(found).train,
        adam=SavedAdamState.load(adam_state_path(model_folder)),
        user_id=user_id,
        movie_id=movie_id,
    )
    _print_lesson(lesson, found, chosen=user_id is None, console=console)
    return lesson


def _print_lesson(lesson: Lesson, run: RunSummary, *, chosen: bool, console: Console) -> None:
    """Print a lesson, section by section."""
    _print_line(console, f"Run {run.run.name} ({run.run.run_id}) on {run.params.get('source', '')}", style="bold")
    why = ", picked as typical: its absolute error is the median" if chosen else ""
    _print_line(console, f"User {lesson.user_id}, movie {lesson.movie_id}: a rating of the {lesson.part} part{why}")
    for title, lines in lesson_sections(lesson):
        console.print()
        _print_line(console, title, style="bold cyan")
        for line in lines:
            _print_line(console, line)


def _print_line(console: Console, line: str, *, style: str = "") -> None:
    """Print one line; prose is wrapped at words, columns are left as they are."""
    text = Text(line, style=style)
    for words, look in _STYLES:
        text.highlight_words([words], look)
    console.print(text, soft_wrap="  " in line, highlight=False)
