"""Which proxy is taken: the one that is named, else the one that was joined, and never one that serves another run."""

from __future__ import annotations

import os
import pwd
import socket
from pathlib import Path
from typing import Any

import pytest

from llmauth.ca import Authority
from llmauth.cli import finding
from llmauth.cli.finding import Wish, found, login_name
from llmauth.cli.proxy import ProxyFailed
from llmauth.clients import joined
from llmauth.secrets import Secret
from tests.fixtures.keyrings import in_place

KEY = "llmauth_key"


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path), "LLMAUTH_HOME": str(tmp_path / "home"), "XDG_CONFIG_HOME": str(tmp_path / "config")}


@pytest.fixture
def pem(tmp_path: Path) -> Path:
    folder = tmp_path / "ca"
    folder.mkdir(mode=0o700)
    Authority.load_or_create(folder, ["api.openai.com"], create=True)
    return folder / "ca.pem"


def wish(**more: Any) -> Wish:
    return Wish(**{"url": None, "ca_file": None, "configs": (), "seconds": 60.0, **more})


@pytest.fixture
def profile(monkeypatch: pytest.MonkeyPatch, pem: Path) -> joined.Joined:
    one = joined.Joined(url="https://joined.corp:8443", ca_pem=pem.read_text(), fingerprint="4F", user="alice")
    monkeypatch.setattr(joined, "read", lambda environ: one)
    monkeypatch.setattr(joined, "session", lambda one, environ: Secret("llmauth_joined"))
    return one


def test_one_that_is_named(environ: dict[str, str], pem: Path, profile: joined.Joined) -> None:
    with found(wish(url=f"http://me:{KEY}@127.0.0.1:9", ca_file=pem), environ, may_start=False) as one:
        assert (one.proxy.url, one.authority_pem) == ("http://127.0.0.1:9", pem.read_text())
        assert one.credential == Secret(KEY)
        assert one.proxy.user == login_name() == pwd.getpwuid(os.getuid()).pw_name


def test_one_that_a_run_around_this_one_named(environ: dict[str, str], pem: Path, profile: joined.Joined) -> None:
    """`llmauth run -- sh`, and inside of it once more."""
    inside = {**environ, "LLMAUTH_PROXY": "http://127.0.0.1:9", "LLMAUTH_KEY": KEY, "LLMAUTH_CA_FILE": str(pem)}
    with found(wish(), inside, may_start=False) as one:
        assert (one.proxy.url, one.credential) == ("http://127.0.0.1:9", Secret(KEY))


def test_one_that_was_joined(environ: dict[str, str], profile: joined.Joined) -> None:
    with found(wish(), environ, may_start=False) as one:
        assert (one.proxy.url, one.proxy.user, one.credential) == (profile.url, "alice", Secret("llmauth_joined"))
    with found(wish(url=profile.url), environ, may_start=False) as named:
        assert named.credential == Secret("llmauth_joined")


def test_a_configuration_means_this_machine(environ: dict[str, str], profile: joined.Joined) -> None:
    with (
        pytest.raises(ProxyFailed, match="No proxy runs here"),
        found(wish(configs=(Path("c.yaml"),)), environ, may_start=False),
    ):
        pass


def test_a_proxy_whose_ca_nobody_names(environ: dict[str, str]) -> None:
    with pytest.raises(ProxyFailed, match="llmauth join http"), found(wish(url="http://p:1"), environ, may_start=False):
        pass


def test_a_ca_file_that_is_not_there(environ: dict[str, str]) -> None:
    asked = wish(url=f"http://me:{KEY}@p:1", ca_file=Path("/nowhere.pem"))
    with pytest.raises(ProxyFailed, match=r"nowhere\.pem cannot be read"), found(asked, environ, may_start=False):
        pass


def test_a_session_that_is_gone(environ: dict[str, str], profile: joined.Joined, monkeypatch) -> None:
    monkeypatch.setattr(joined, "session", lambda one, environ: None)
    with pytest.raises(ProxyFailed, match="llmauth join https"), found(wish(), environ, may_start=False):
        pass


def test_the_proxy_of_another_run_is_passed_over(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends with that one's command."""
    monkeypatch.setattr(finding, "sockets", lambda folder: [(1, folder / "1.sock"), (2, folder / "2.sock")])
    answers = {1: {"runner": 4711, "port": 1}, 2: {"runner": None, "port": 0}}
    monkeypatch.setattr(finding, "ask_one", lambda number, file, question: answers[number])
    with pytest.raises(ProxyFailed, match="No proxy runs here"), found(wish(), environ, may_start=False):
        pass


# ---- to whom a credential is shown ---------------------------------------------------------------------------------


def test_what_the_proxy_of_a_run_has_lent_is_for_no_stranger(environ: dict[str, str], pem: Path) -> None:
    inside = {**environ, "LLMAUTH_PROXY": "http://127.0.0.1:9", "LLMAUTH_KEY": KEY, "LLMAUTH_CA_FILE": str(pem)}
    for url in ("http://127.0.0.1:10", "https://127.0.0.1:9", "https://stranger.example"):
        with found(wish(url=url), inside, may_start=False) as one:
            assert one.credential is None


def test_what_was_kept_for_https_is_not_shown_in_clear_text(
    environ: dict[str, str], pem: Path, profile: joined.Joined, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(0, 0, 0, "", ("10.0.0.1", 0))])
    with in_place(monkeypatch) as ring:
        for authority in ("joined.corp:8443", "127.0.0.1:9"):
            ring.set_password("llmauth", f"session@{authority}", "kept")
        for url, credential in {
            "http://joined.corp:8443": None,
            "https://joined.corp:8443": Secret("kept"),
            "http://127.0.0.1:9": Secret("kept"),
        }.items():
            with found(wish(url=url, ca_file=pem), environ, may_start=False) as one:
                assert one.credential == credential


@pytest.mark.parametrize("host", ["1.1.1.1", "[2606:4700::1111]"])
def test_no_public_address_in_clear_text(environ: dict[str, str], pem: Path, host: str) -> None:
    asked = wish(url=f"http://me:{KEY}@{host}:8080", ca_file=pem)
    with pytest.raises(ProxyFailed, match="must begin with https://"), found(asked, environ, may_start=False):
        pass


@pytest.mark.timeout(10)
def test_a_ca_file_that_is_a_pipe(environ: dict[str, str], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    asked = wish(url="http://127.0.0.1:1", ca_file=tmp_path / "pipe")
    with pytest.raises(ProxyFailed, match="is no regular file"), found(asked, environ, may_start=False):
        pass


def test_one_that_was_started_and_has_gone(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone:
        number = 4711

        def __init__(self, *_: object) -> None: ...

        def __enter__(self) -> Gone:
            return self

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(finding, "OwnProxy", Gone)
    monkeypatch.setattr(finding, "read_settings", lambda *_: type("Settings", (), {"instances": {"openai": 1}}))
    with pytest.raises(ProxyFailed, match="ended at once"), found(wish(), environ, may_start=True):
        pass


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("0.0.0.0", "http://127.0.0.1:80"),
        ("::", "http://[::1]:80"),
        ("10.1.2.3", "http://10.1.2.3:80"),
        ("localhost", "http://127.0.0.1:80"),
    ],
)
def test_where_a_listener_is_reached(host: str, url: str) -> None:
    assert finding._url(host, 80) == url
