"""Verdicts on the report's page."""

from histories import FOUR
from made_reports import report_page, verdict

from cfmodel.gradients.health.rules.catalogue import RULES
from cfmodel.gradients.health.verdicts import HealthReport
from cfmodel.gradients.report.verdicts_html import part_of


def test_every_rule_points_at_a_part_of_the_page() -> None:
    page = report_page()
    for rule in RULES:
        for table in (None, *FOUR):
            assert f'id="{part_of(verdict(rule.name, table=table))}"' in page


def test_a_verdict_says_what_where_from_which_step_and_what_to_do() -> None:
    page = report_page(HealthReport((verdict(),)))
    for text in ("Dead rows", "in movie biases", "3 % of the rows never", "look for a mask", "movie 12", "step 200"):
        assert text in page
    assert 'data-step="200"' in page
    assert '<span class="verdict warning">warnings</span>' in page


def test_every_issue_of_the_textbook_has_an_answer_under_its_own_name() -> None:
    issues = ("Vanishing gradients", "Exploding gradients", "Dead neurons, here rows and tables")
    sound, sick = report_page(), report_page(HealthReport((verdict(),)))
    for issue in (*issues, "Learning rate too high", "Learning rate too low"):
        assert f'{issue}: <b class="verdict healthy">no sign</b>' in sound
    assert f'{issues[2]}: <b class="verdict warning">warning</b> (dead rows)' in sick
    assert f'{issues[0]}: <b class="verdict healthy">no sign</b>' in sick


def test_a_healthy_run_with_notes_is_healthy() -> None:
    page = report_page(HealthReport((verdict("ghost_updates", severity="info"),)))
    assert '<span class="verdict healthy">healthy</span>' in page
    assert "1 note" in page
