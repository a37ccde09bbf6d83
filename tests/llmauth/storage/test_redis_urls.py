"""Which URLs mean a Redis of keys, and what of them is told."""

from __future__ import annotations

import pytest

from llmauth.storage.redis_urls import is_redis, may_be_read, require_readable, where


def test_which_mean_a_redis():
    assert is_redis("redis://h")
    assert is_redis("rediss://h")
    assert not any(is_redis(url) for url in ("redis", "redis+socket://h", "sqlite:///keys.db", "postgresql://h/d"))


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://u:hunter2@h", "h:6379"),
        ("rediss://:hunter2@h:7000/3?ssl_ca_certs=/ca.pem", "h:7000/3"),
        ("redis://[::1]", "[::1]:6379"),
    ],
)
def test_it_is_told_without_credentials(url, shown):
    assert where(url) == shown


@pytest.mark.parametrize(
    "url",
    [
        *("redis://", "redis://:hunter2@", "redis://h:port", "redis://h:99999", "redis://[::1/0", "redis://h#hunter2"),
        *("redis://h/zero", "redis://h/0/1", "redis://h/٣", "sqlite:///x"),
        *("rediss://h?ssl_cert_reqs=none", "redis://h?password=hunter2", "redis://h?socket_timeout=900", "redis://h?x"),
    ],
)
def test_what_cannot_be_meant_is_refused_without_repeating_it(url):
    with pytest.raises(ValueError) as error:
        require_readable(url)
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize(
    ("url", "open_"),
    [("redis://far", True), ("redis://127.0.0.1", False), ("redis://localhost", False), ("rediss://far", False)],
)
def test_whether_it_can_be_read_on_the_way(url, open_):
    assert may_be_read(url) is open_
