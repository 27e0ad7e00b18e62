"""Digests of files, text and code."""

import hashlib
import re

from cfmodel.system.digests import code_digest, sha256_of_file, sha256_of_text


def test_the_digest_of_a_file_is_the_sha256_of_its_bytes(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    assert sha256_of_file(tmp_path / "file") == hashlib.sha256(b"abc").hexdigest()


def test_where_one_text_ends_and_the_next_begins_matters():
    assert sha256_of_text("ab", "c") != sha256_of_text("a", "bc")


def test_the_digest_of_the_code_is_the_same_twice():
    assert re.fullmatch("[0-9a-f]{64}", code_digest())
    assert code_digest() == code_digest()
