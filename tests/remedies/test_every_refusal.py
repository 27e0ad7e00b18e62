"""For every refusal there is a test that follows its remedy literally."""

from pathlib import Path

from refusals import Refusal, covers, refusals, remedies

#: Refusals whose remedy no test follows yet: this list only gets shorter.
WITHOUT = Path(__file__).with_name("without.txt")


def without() -> list[Refusal]:
    lines = WITHOUT.read_text(encoding="utf-8").splitlines() if WITHOUT.exists() else []
    return [Refusal(*line.split(": ", 1)) for line in lines if line]


def test_no_refusal_is_without_a_test_that_follows_its_remedy() -> None:
    followed, listed = remedies(), set(without())
    missing = [each for each in refusals() if not any(covers(remedy, each) for remedy in followed)]
    new = [str(each) for each in missing if each not in listed]
    assert new == [], "write a test that follows the remedy, marked with @remedy_of"
    done = [str(each) for each in sorted(listed) if each not in missing]
    assert done == [], f"take these off {WITHOUT.name}: they have a test now, or are gone"


def test_every_mark_is_of_a_refusal() -> None:
    there = refusals()
    assert [str(remedy) for remedy in remedies() if not any(covers(remedy, each) for each in there)] == []


def test_refusals_are_found_by_their_text() -> None:
    assert len(refusals()) > 150
    assert Refusal("cfmodel/config.py", "{}: no such settings file") in refusals()
