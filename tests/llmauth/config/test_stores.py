"""The store that a configuration means: its place, its sealing key, and how long it may be silent."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmauth.clock import ManualClock
from llmauth.config.settings import Settings, read_settings
from llmauth.config.stores import open_store
from llmauth.storage.home import StateUnsafe


def configured(folder: Path, storage: str = "{}", **environ: str) -> Settings:
    file = folder / "gateway.yaml"
    file.write_text(f"storage: {storage}\n")
    return read_settings([file], {"LLMAUTH_HOME": str(folder / "home"), **environ})


def test_by_itself_everything_is_in_the_state_folder(tmp_path):
    store = open_store(configured(tmp_path), ManualClock(5.0))
    record, *_ = store.create_pair("ci")
    assert record.created == 5.0
    assert (store.shared, store.stale_after) == (False, 1.0)
    assert {"keys.db", "sealing.key"} <= {file.name for file in (tmp_path / "home").iterdir()}
    store.close()


def test_the_file_lies_beside_its_configuration_and_the_sealing_key_in_the_state_folder(tmp_path):
    store = open_store(configured(tmp_path, "{url: 'sqlite:///keys/k.db', stale_after: 30s}"))
    store.create_pair("ci")
    assert store.stale_after == 30.0
    assert (tmp_path / "keys" / "k.db").is_file()
    assert [file.name for file in (tmp_path / "home").iterdir()] == ["sealing.key"]
    store.close()


@pytest.mark.parametrize("by", ["file", "variable"])
def test_a_sealing_key_that_is_mounted(tmp_path, by):
    mounted = tmp_path / "mounted"
    mounted.touch(0o600)
    mounted.write_text("6b" * 32)
    settings = (
        configured(tmp_path, "{sealing_key_file: mounted}")
        if by == "file"
        else configured(tmp_path, LLMAUTH_SEALING_KEY_FILE=str(mounted))
    )
    store = open_store(settings)
    record, _, secret = store.create_pair("ci")
    assert not (tmp_path / "home" / "sealing.key").exists()
    assert store.pair_secret(record) == secret
    store.close()


def test_a_server(tmp_path, postgres_url):
    store = open_store(configured(tmp_path, f"{{url: '{postgres_url}'}}"))
    assert (store.shared, store.stale_after) == (True, 60.0)
    store.create("ci")
    store.close()
    assert not (tmp_path / "home").exists()


def test_a_redis(tmp_path, durable_redis_url):
    store = open_store(configured(tmp_path, f"{{url: '{durable_redis_url}', stale_after: 9s}}"))
    assert (store.shared, store.stale_after) == (True, 9.0)
    store.create_pair("ci")
    store.close()
    assert [file.name for file in (tmp_path / "home").iterdir()] == ["sealing.key"]


def test_what_cannot_be_used_is_a_sentence(tmp_path):
    (tmp_path / "home").mkdir(mode=0o755)
    (tmp_path / "home").chmod(0o755)
    with pytest.raises(StateUnsafe, match="chmod 700"):
        open_store(configured(tmp_path))
