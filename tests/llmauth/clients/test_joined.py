"""The profile of a proxy that was joined: kept privately, read again, and taken away."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from llmauth.clients import joined
from llmauth.clients.joined import Joined
from llmauth.secrets import Secret
from llmauth.storage.home import StateError, StateUnusable
from tests.fixtures.keyrings import MemoryKeyring, in_place, none_here

PROFILE = Joined(url="https://proxy.corp:8443", ca_pem="PEM\n", fingerprint="4F:1A", user="alice", expires_at=2e9)
TOKEN = Secret("llmauth_s_canary")


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path)}


@pytest.fixture
def ring(monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryKeyring]:
    with in_place(monkeypatch) as ring:
        yield ring


def test_nothing_was_joined(environ: dict[str, str]) -> None:
    assert joined.read(environ) is None
    assert joined.forget_joined(environ) == ()


def test_in_a_keyring(environ: dict[str, str], ring: MemoryKeyring) -> None:
    kept = joined.write(PROFILE, TOKEN, environ)
    assert joined.read(environ) == kept == replace(PROFILE, kept="keyring")
    assert joined.session(kept, environ) == TOKEN
    assert ring.entries == {("llmauth", "session@proxy.corp:8443"): TOKEN.reveal()}
    assert joined.ca_file(environ).read_text() == "PEM\n"
    folder = joined.folder(environ)
    assert {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()} == {
        joined.PROFILE: 0o600,
        joined.CA_FILE: 0o600,
    }
    assert "canary" not in (folder / joined.PROFILE).read_text() + repr(kept)
    assert len(joined.forget_joined(environ)) == 3
    assert (ring.entries, list(folder.iterdir())) == ({}, [])


def test_another_one_takes_its_place(environ: dict[str, str], ring: MemoryKeyring) -> None:
    joined.write(PROFILE, TOKEN, environ)
    joined.write(replace(PROFILE, url="https://other:8443"), Secret("t2"), environ)
    assert ring.entries == {("llmauth", "session@other:8443"): "t2"}


def test_in_a_file(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    with none_here(monkeypatch):
        kept = joined.write(PROFILE, TOKEN, environ)
        assert kept.kept == "file"
        assert joined.session(kept, environ) == TOKEN
        file = joined.folder(environ) / joined.SESSION_FILE
        assert file.stat().st_mode & 0o777 == 0o600
        file.chmod(0o640)
        with pytest.raises(StateError, match="open to other users"):
            joined.session(kept, environ)
        file.unlink()
        assert joined.session(kept, environ) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"url": "x"}', '{"expires_at": "soon"}'])
def test_a_damaged_profile_says_what_to_do_and_can_be_forgotten(
    environ: dict[str, str], ring: MemoryKeyring, text: str
) -> None:
    joined.write(PROFILE, TOKEN, environ)
    (joined.folder(environ) / joined.PROFILE).write_text(text)
    with pytest.raises(StateUnusable, match="llmauth leave"):
        joined.read(environ)
    assert joined.forget_joined(environ)
    assert joined.read(environ) is None


def test_whom_its_tls_is_known_by(environ: dict[str, str]) -> None:
    assert joined.trusted(PROFILE, environ) is None
    assert joined.trusted(replace(PROFILE, tls_by_proxy=True), environ) == joined.ca_file(environ)
    assert joined.trusted(replace(PROFILE, tls_ca_file=Path("/x")), environ) == Path("/x")


def test_nothing_is_written_through_a_link(environ: dict[str, str], ring: MemoryKeyring, tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_text("theirs")
    folder = joined.folder(environ)
    folder.mkdir(parents=True)
    for name in (joined.PROFILE, joined.CA_FILE):
        (folder / name).symlink_to(target)
    joined.write(PROFILE, TOKEN, environ)
    assert target.read_text() == "theirs"
    assert json.loads((folder / joined.PROFILE).read_text())["user"] == "alice"
