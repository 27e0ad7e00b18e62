"""Addresses with secrets: found, and hidden where they are shown."""

import pytest

from cfmodel.system.addresses import find_secret, holds_password, holds_secret, redact


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("http://me:secret-word@host:5000/x", "http://***@host:5000/x"),
        ("postgresql://me:secret-word@host/mlflow", "postgresql://***@host/mlflow"),
        ("https://host/a.csv?sig=secret-word&b=1", "https://host/a.csv?sig=***&b=1"),
        ("s3://b/a?X-Amz-Signature=secret-word", "s3://b/a?X-Amz-Signature=***"),
        ("look at http://a:secret-word@b and ftp://c:secret-word@d", "look at http://***@b and ftp://***@d"),
        ("s3://key:secret/word@bucket/a.csv", "s3://***@bucket/a.csv"),
        ("https://host/a?page=2", "https://host/a?page=2"),
        ("sqlite:////home/me/mlflow.db", "sqlite:////home/me/mlflow.db"),
    ],
)
def test_secrets_in_an_address_are_masked(address: str, public: str) -> None:
    assert redact(address) == public
    assert holds_password(public) is False


@pytest.mark.parametrize(
    "address",
    [
        "s3://key:secret@b/x",
        "s3://key:secret/word@b/x",
        "http://me:@h",
        "simplecache::s3://k:s@b/x",
        "gs://b/x?Token=s",
    ],
)
def test_an_address_with_a_secret_is_recognised(address: str) -> None:
    assert holds_secret(address)


@pytest.mark.parametrize(
    "address",
    [
        "synthetic:users=5,movies=9",
        "s3://b/10:30@home.csv",
        "abfs://box@account.net/x",
        "hdfs://host:8020/x?.csv",
        "http://[::1]:5000",
        "postgresql://me@host:5432/mlflow",
        "file:///a/b:c@d",
        "sqlite:////home/me/mlflow.db",
        "a::b",
    ],
)
def test_an_address_without_a_secret_is_not(address: str) -> None:
    assert not holds_secret(address)
    assert not holds_password(address)


def test_a_secret_in_the_name_of_a_setting_is_found_and_not_repeated() -> None:
    assert find_secret({"overrides": {"http://me:secret-word@host": 1}}) == "overrides.http://***@host"
    assert find_secret({"runs": ["a", {"b": None}]}) is None
