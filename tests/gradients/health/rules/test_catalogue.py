"""The catalogue of rules."""

from cfmodel.gradients.health.rules.catalogue import RULES


def test_every_rule_has_a_remedy_and_every_textbook_word_is_used() -> None:
    assert all(rule.remedy for rule in RULES)
    assert {word for rule in RULES for word in rule.words} == {"exploding", "vanishing", "dead"}
