"""What a location opens."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmauth.storage.home import StateUnusable
from llmauth.storage.keys import KeyStore
from llmauth.storage.redis_keys import RedisKeys
from llmauth.storage.stores import open_keys


def test_each_place_has_its_own(location):
    store = open_keys(location)
    assert isinstance(store, RedisKeys if location.startswith("redis:") else KeyStore)
    assert store.list() == ()
    store.close()


def test_a_path_is_a_file(tmp_path):
    store = open_keys(Path(tmp_path / "state" / "keys.db"), stale_after=7)
    assert (store.shared, store.stale_after) == (False, 7)
    store.close()


@pytest.mark.parametrize("url", ["redis://:hunter2@h/zero", "rediss://:hunter2@h?ssl_cert_reqs=none", "mysql://h"])
def test_what_is_no_place_is_a_sentence(url):
    with pytest.raises(StateUnusable) as error:
        open_keys(url)
    assert "hunter2" not in str(error.value)
