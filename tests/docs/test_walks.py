"""Guides whose commands are run from the first block to the last."""

from pathlib import Path

import pytest
from pages import Block, blocks_of
from shell import Shell

#: Ratings with a pattern, for 400 users and 300 movies, and an export that is noise: no model of it is promoted.
_RATINGS = """
mkdir exports
python - <<'END'
import numpy as np, pandas as pd
rng = np.random.default_rng(0)
user, movie = np.meshgrid(np.arange(1, 401), np.arange(1, 301))
pairs = pd.DataFrame({"user_id": user.ravel(), "movie_id": movie.ravel(), "timestamp": 1_700_000_000})
pairs = pairs.sample(30_000, random_state=0)
likes = pairs["user_id"] % 2 == pairs["movie_id"] % 2
rated = pairs.assign(rating=np.where(likes, 4, 2) + rng.integers(0, 2, len(pairs)))
rated.to_csv("ratings.csv", index=False)
pairs.assign(rating=rng.integers(1, 6, len(pairs))).to_parquet("exports/2026-01.parquet")
END
"""
_SMALL = "--set train.embedding_dim=4 --set train.learning_rate=0.02 --set tracking.run_name"
#: What a reader of each page has done before: runs with names.
BEFORE = {
    "README.md": f"""
source .venv/bin/activate
{_RATINGS}
cfmodel run ratings.csv --set train.epochs=1 {_SMALL}=first
cfmodel run ratings.csv --set train.epochs=2 {_SMALL}=second
""",
    "docs/gradients.md": f"""
source .venv/bin/activate
cfmodel run synthetic:users=120,movies=60,ratings=3000 --set train.epochs=1 {_SMALL}=first
cp "$(find . -path '*/artifacts/gradients/histograms.parquet')" .
""",
    "docs/serving.md": f"""
source .venv/bin/activate
{_RATINGS}
cfmodel run ratings.csv --set train.epochs=3 {_SMALL}=first
cfmodel run ratings.csv --set train.epochs=15 {_SMALL}=second
cfmodel run exports/2026-01.parquet --set train.epochs=1 {_SMALL}=third
python -c 'from flows.scoring import scoring; scoring()'
""",
}
#: Placeholders that a reader replaces.
REPLACED = {"RUN RUN": "first second", "make test ": "make --dry-run test ", 'model="7"': 'model="1"'}
#: Output that shows that a terminal is ready, by a word of its block.
READY = {"mlflow models serve": "Application startup complete", "make worker": "started!"}
#: Text that must be in the output.
EXPECTED = {
    "docs/gradients.md": (),
    "README.md": ("planted noise floor", "too low", '"rank": 3', "Created flow run"),
    "docs/serving.md": ("is the champion again, in place of 2", "Like movie 260", '"predictions"', '"rank": 3'),
}


@pytest.mark.slow
@pytest.mark.parametrize("page", BEFORE)
def test_every_block_of_a_page_that_can_run_here_does(shell: Shell, root: Path, page: str) -> None:
    shell.run(Block(page, 0, "", BEFORE[page]))
    shell.replaced |= REPLACED
    printed = ""
    for block in blocks_of(root, page):
        if block.how == "terminal":
            shell.open_terminal(block, ready=next(READY[word] for word in READY if word in block.text))
        elif block.how == "":
            printed += shell.run(block)
    print(printed)
    assert [expected for expected in EXPECTED[page] if expected not in printed] == []
    assert "Traceback" not in printed
    assert "error_code" not in printed
