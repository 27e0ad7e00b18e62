"""Encodings and line ends."""

import pytest

from cfmodel.errors import DataError

ROWS = [("josé", "Amélie", 3.5, 1), ("zoë", "Amélie", 4.0, 2), ("naïf", "8½", 2.0, 3)]
HEAD = "userId,movieId,rating,timestamp\n"
TEXT = HEAD + "".join(",".join(map(str, row)) + "\n" for row in ROWS)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_encodings_and_line_ends_are_detected(encoding, line_end, read, write):
    path = write("x.csv", TEXT.replace("\n", line_end).encode(encoding))
    assert read(path)[1] == ROWS


@pytest.mark.parametrize(("encoding", "user"), [("windows-1251", "иван"), ("shift_jis", "太郎"), ("gb18030", "王")])
def test_another_encoding_can_be_set(encoding, user, read, write):
    path = write("x.csv", f"{user},1,3\n".encode(encoding))
    assert read(path, encoding=encoding)[1] == [(user, "1", 3.0, None)]


def test_a_wrong_encoding_is_refused(read, write):
    with pytest.raises(DataError, match=r"^x.csv: is not shift_jis throughout .*; set ingest.encoding"):
        read(write("x.csv", b"1,2,3\n" + b"\xff\xff,2,3\n"), encoding="shift_jis")
    with pytest.raises(DataError, match=r"utf-16-le throughout \(truncated data\)"):
        read(write("y.csv", "1,2,3\n".encode("utf-16")[:-1]))


def test_utf_16_is_decoded_across_blocks(read, write, monkeypatch):
    monkeypatch.setattr("cfmodel.data.formats.compressed.BLOCK_BYTES", 33)
    assert read(write("x.csv", TEXT.replace("\n", "\r\n").encode("utf-16")))[1] == ROWS


@pytest.mark.parametrize("block", [1, 2, 3, 5, 4096])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_marks_of_joined_files_and_mixed_line_ends_are_no_text(line_end, block, read, write, monkeypatch):
    monkeypatch.setattr("cfmodel.data.formats.compressed.BLOCK_BYTES", block)
    lines = ["\ufeff" + HEAD.strip(), "josé,a,1,1", "\ufeffzoë,b,2,2", '\ufeff"naïf","c\n\nd",3,3']
    path = write("x.csv", line_end.join(lines) + "\r\n7,d,4,4\r8,e,5,5\n9,f,5,6")
    assert [row[0] for row in read(path)[1]] == ["josé", "zoë", "naïf", "7", "8", "9"]
    assert read(path)[1][2][1] == "c\n\nd"


def test_a_mark_within_a_line_is_text(read, write):
    assert read(write("x.csv", "7,\ufeffa,3\n"))[1][0][1] == "\ufeffa"


def test_signs_that_only_windows_1252_has_are_not_control_characters(read, write):
    assert read(write("x.csv", "O’Brien,“Film” – 1,3\n".encode("windows-1252")))[1][0][:2] == ("O’Brien", "“Film” – 1")


@pytest.mark.parametrize("encoding", ["windows-1251", "gb18030"])
def test_words_of_other_alphabets_in_a_guessed_encoding_are_a_warning(encoding, read, write):
    users = {"windows-1251": "Игорь", "gb18030": "太郎先生"}
    path = write("x.csv", f"user,item,rating\n{users[encoding]},1,3\n".encode(encoding))
    assert "--set ingest.encoding=windows-1251, or" in read(path)[0].warnings[0]
    ref, rows = read(path, encoding=encoding)
    assert (ref.warnings, rows[0][0]) == ((), users[encoding])
    assert read(write("y.csv", "user,item,rating\nÖzgür Çağdaş,1,3\n".encode("latin-1", "replace")))[0].warnings == ()
