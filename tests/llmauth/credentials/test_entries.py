"""Entries of ours in the keyring, and the record by which all of them are found."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import keyring.backends.null
import pytest

from llmauth.credentials.entries import RECORD, KeyringRefused, forget, keep, read, recorded, store_name
from llmauth.secrets import Secret
from tests.fixtures.keyrings import MemoryKeyring, in_place, none_here

ENTRY = ("llmauth", "openai")


@pytest.fixture
def ring(monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryKeyring]:
    with in_place(monkeypatch) as ring:
        yield ring


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "state"


def test_kept_read_and_forgotten(ring: MemoryKeyring, home: Path) -> None:
    assert read(ENTRY) is None
    assert keep(home, ENTRY, Secret("sk-1")) == "tests.fixtures.keyrings.MemoryKeyring"
    keep(home, ("work", "me"), Secret("sk-2"))
    assert read(ENTRY) == Secret("sk-1")
    assert recorded(home) == (ENTRY, ("work", "me"))
    assert (home / RECORD).stat().st_mode & 0o777 == 0o600
    assert "sk-" not in (home / RECORD).read_text()
    assert forget(home, ENTRY)
    assert not forget(home, ENTRY)
    assert recorded(home) == (("work", "me"),)
    assert forget(home, ("work", "me"))
    assert list(home.iterdir()) == []


def test_a_keyring_that_loses_what_it_got(ring: MemoryKeyring, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ring, "set_password", lambda *_: None)
    with pytest.raises(KeyringRefused, match="does not give it back as it was"):
        keep(home, ENTRY, Secret("sk-1"))


def test_a_locked_keyring_says_nothing_of_the_entry(ring: MemoryKeyring, home: Path) -> None:
    ring.locked = True
    for what in (lambda: keep(home, ENTRY, Secret("sk-1")), lambda: read(ENTRY), lambda: forget(home, ENTRY)):
        with pytest.raises(KeyringRefused, match=r"KeyringLocked\. Unlock it and try again") as caught:
            what()
        assert "canary" not in str(caught.value)


def test_no_keyring(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with none_here(monkeypatch), pytest.raises(KeyringRefused, match="There is no keyring on this machine"):
        store_name()


def test_one_that_keeps_nothing_is_none(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with in_place(monkeypatch, keyring.backends.null.Keyring()), pytest.raises(KeyringRefused):
        keep(home, ENTRY, Secret("sk-1"))


@pytest.mark.parametrize("text", ["", "{", "5", '["x"]', "[[1, 2, 3]]"])
def test_a_damaged_record_says_nothing(home: Path, text: str) -> None:
    home.mkdir()
    (home / RECORD).write_text(text)
    assert recorded(home) == ()
