import pytest

from cfmodel.tables import SIDES, TABLES, TERMS, Term

BY_NAME = {table.name: table for table in TABLES}


def test_names_of_tables_and_of_their_rows_are_unique() -> None:
    assert len(BY_NAME) == len({table.row for table in TABLES}) == len(TABLES)


def test_every_table_belongs_to_a_side_and_is_in_exactly_one_term() -> None:
    assert {table.side for table in TABLES} == set(SIDES)
    in_terms = [name for term in TERMS for name in (term.user, term.movie) if name]
    assert sorted(in_terms) == sorted(BY_NAME)


@pytest.mark.parametrize("term", TERMS, ids=str)
def test_a_term_is_one_number_of_a_row_or_a_dot_product_of_rows_of_equal_width(term: Term) -> None:
    tables = {side: BY_NAME[name] for side, name in (("user", term.user), ("movie", term.movie)) if name}
    assert {side: table.side for side, table in tables.items()} == {side: side for side in tables}
    widths = [table.width for table in tables.values()]
    assert widths in ([1], [widths[0]] * 2)
