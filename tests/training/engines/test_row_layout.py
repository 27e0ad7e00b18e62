"""The layout of a row in the fused engines."""

import torch

from cfmodel.column_statistics import RatingScale
from cfmodel.model import CollaborativeFiltering
from cfmodel.tables import TABLES, TERMS, Table, Term
from cfmodel.training.engines.row_layout import FUSED_TABLES, bias_column, cannot_train, row_width, table_parts


def test_the_dot_product_of_two_rows_is_the_score() -> None:
    model = CollaborativeFiltering(1, 1, 3, scale=RatingScale(3.0, 2.0), init_std=0.5)
    rows = {side: torch.zeros(1, row_width(3, 8)) for side in ("user", "movie")}
    with torch.no_grad():
        model.user_biases.weight.fill_(0.25)
        model.movie_biases.weight.fill_(-0.5)
        for side, row in rows.items():
            for name, part in table_parts(row, side, 3).items():
                part.copy_(model.weights()[name])
            row[:, 2 * 3 + 1 - bias_column(side, 3)] = 1.0
        score = model.score(torch.tensor([0]), torch.tensor([0]))
    torch.testing.assert_close((rows["user"] * rows["movie"]).sum(dim=1), score)


def test_a_row_is_padded_to_the_next_multiple() -> None:
    assert [row_width(dim, 4) for dim in (1, 2, 3, 50)] == [4, 4, 8, 52]


def test_only_the_models_own_tables_and_terms_can_be_trained() -> None:
    class Wider(CollaborativeFiltering):
        TABLES = (*TABLES, Table("movie_offsets", "movie_offset", "movie", width=1))

    class Doubled(CollaborativeFiltering):
        TERMS = (*TERMS, Term(movie="movie_biases"))

    assert cannot_train(CollaborativeFiltering) is None
    assert CollaborativeFiltering.table_names() == FUSED_TABLES
    assert "Wider differs in movie_offsets" in (cannot_train(Wider) or "")
    assert "other terms than those of Doubled" in (cannot_train(Doubled) or "")
