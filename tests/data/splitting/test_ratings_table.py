"""A whole data set in memory."""

from small_splits import divide

from cfmodel.data.splitting.parts import load_part, load_vocabularies


def test_a_part_holds_no_id_of_another_part(tmp_path):
    rows = [(f"u{n // 4}", f"m{n % 4}-{n // 40}", 3.0, n) for n in range(200)]
    ref, parts = divide(rows, tmp_path, strategy="temporal")
    users, movies = load_vocabularies(ref, parts=("train", "val"))
    assert set(users.ids.to_pylist()) == {row[0] for row in parts["train"] + parts["val"]}
    assert set(movies.ids.to_pylist()) == {row[1] for row in parts["train"] + parts["val"]}
    assert (load_part(ref, "test", users=users, movies=movies).user_idx == -1).any()
