"""`llmauth join` at a real gateway: the certificate that anybody may have, a session, what it may, and its end."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509

from llmauth import cli
from llmauth.clients import joined
from llmauth.clients.introduction import fingerprint_of
from llmauth.rules import Rules
from llmauth.storage.stores import open_keys
from tests.fixtures import certificates
from tests.fixtures.calls import eventually, get
from tests.fixtures.keyrings import MemoryKeyring, Typed, in_place, none_here
from tests.fixtures.raw import Wire
from tests.fixtures.serving import Serving

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ring(monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryKeyring]:
    with in_place(monkeypatch) as ring:
        yield ring


@pytest.fixture
def environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Of a caller: on another machine, with none of the gateway's own folders."""
    for name in ("HTTPS_PROXY", "https_proxy", "LLMAUTH_KEY", "LLMAUTH_HOME", "LLMAUTH_CONFIG", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    home = tmp_path / "caller"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    return {"HOME": str(home)}


@pytest.fixture
def run(
    ring: MemoryKeyring, environ: dict[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Command:
    def one(*words: str, given: str = "", typed: str | None = None) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(given) if typed is None else Typed(typed))
        code = cli.main(list(words))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return one


def fingerprint(gateway: Serving) -> str:
    return fingerprint_of(x509.load_pem_x509_certificate(gateway.ca_file.read_bytes()))


def test_anybody_may_have_the_certificate_and_nothing_with_it(gateway: Serving) -> None:
    with Wire(gateway.port) as wire:
        answer = wire.request("GET", "/ca.pem", [("Host", "gateway")])
        assert (answer.status, answer.body) == (200, gateway.ca_file.read_bytes())
        assert answer.values("x-llmauth-ca-sha256") == [fingerprint(gateway)]
        assert b"PRIVATE" not in answer.body
        assert wire.request("HEAD", "/ca.pem", [("Host", "gateway")]).status == 200
    for path in ("/ca.pem?x", "/ca.pem/", "/ca/ca-key.pem", "/ca-key.pem", "/ca.pem/../ca-key.pem", "/%63a.pem"):
        with Wire(gateway.port) as wire:
            assert wire.request("GET", path, [("Host", "gateway")]).status in (400, 401, 404), path


def test_a_session_by_a_key_and_what_it_may(
    run: Command, gateway: Serving, environ: dict[str, str], ring: MemoryKeyring
) -> None:
    store = open_keys(gateway.settings().storage.url)
    _, key = store.create("joiner", user="alice", rules=Rules(models=("gpt-5*", "claude-*"), rpm=60))
    store.create("stranger", user="mallory", rules=Rules(models=("secret-model",)))
    store.close()
    code, out, err = run("join", gateway.url, "--fingerprint", fingerprint(gateway), given=key.reveal() + "\n")
    assert code == 0, err
    assert out.startswith("Signed in as alice. Session 12 h. Allowed: gpt-5*, claude-*, 60 requests/min\n")
    assert "Next: llmauth run -- COMMAND" in out
    assert key.reveal() not in out + err
    assert "secret-model" not in out
    known = joined.read(environ)
    assert known is not None
    assert (known.url, known.user, known.kept) == (gateway.url, "alice", "keyring")
    assert known.ca_pem == gateway.ca_file.read_text()
    token = ring.entries["llmauth", f"session@127.0.0.1:{gateway.port}"]
    assert token not in (joined.folder(environ) / joined.PROFILE).read_text() + out + err
    assert (joined.folder(environ) / joined.PROFILE).stat().st_mode & 0o777 == 0o600

    code, out, err = run("whoami")
    assert (code, err) == (0, "")
    assert "alice, by session" in out
    assert "allowed: gpt-5*, claude-*, 60 requests/min" in out
    told = json.loads(run("whoami", "--json")[1])
    assert told["allowed"]["models"] == ["gpt-5*", "claude-*"]

    assert get(gateway, "/auth/whoami", ("X-Session-Token", token)).status == 200
    code, out, err = run("leave")
    assert (code, err) == (0, "")
    assert ring.entries == {}
    assert joined.read(environ) is None
    assert list(joined.folder(environ).iterdir()) == []
    assert run("leave")[0] == 1
    # A running server follows within a second.
    eventually(lambda: get(gateway, "/auth/whoami", ("X-Session-Token", token)).status == 401, timeout=3)


def test_without_a_keyring_the_session_is_in_a_private_file(
    run: Command, gateway: Serving, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with none_here(monkeypatch):
        monkeypatch.setenv("LLMAUTH_KEY", gateway.key())
        code, out, err = run("join", gateway.url, "--fingerprint", fingerprint(gateway).replace(":", "").lower())
        assert code == 0, err
        assert "(0600; no keyring here)" in out
        monkeypatch.delenv("LLMAUTH_KEY")
        file = joined.folder(environ) / joined.SESSION_FILE
        assert file.stat().st_mode & 0o777 == 0o600
        assert run("whoami")[0] == 0
        file.chmod(0o644)
        code, _, err = run("whoami")
        assert (code, "open to other users" in err) == (1, True)
        file.chmod(0o600)
        assert run("join", "--forget")[0] == 0
        assert not file.exists()


@pytest.mark.parametrize(
    ("words", "typed", "sentence"),
    [
        ((), None, "nobody is here to compare the fingerprint"),
        ((), "n\n", "the fingerprint was not confirmed"),
        ((), "\n", "the fingerprint was not confirmed"),
        (("--fingerprint", "4F:1A"), None, "not the one that you gave"),
        (("--fingerprint", ""), None, "not the one that you gave"),
    ],
)
def test_an_unconfirmed_proxy_is_sent_nothing(
    run: Command,
    gateway: Serving,
    environ: dict[str, str],
    words: tuple[str, ...],
    typed: str | None,
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LLMAUTH_KEY", gateway.key())
    before = len(gateway.lines("A session was opened"))
    code, out, err = run("join", gateway.url, *words, typed=typed)
    assert (code, out) == (1, "")
    assert sentence in err
    assert joined.read(environ) is None
    assert len(gateway.lines("A session was opened")) == before


def test_a_person_confirms_and_types_the_key(run: Command, gateway: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getpass", lambda _: gateway.key())
    code, out, err = run("join", gateway.url, typed="y\n")
    assert code == 0, err
    assert f"Fingerprint {fingerprint(gateway)}  matches?  [y/N] " in err
    assert "Signed in as test." in out
    code, out, err = run("join", gateway.url, "--no-save", typed="y\n")
    assert code == 0, err
    assert out.startswith("export HTTPS_PROXY=http://session:llmauth_")
    assert "\nexport LLMAUTH_KEY=llmauth_" in out


def test_a_wrong_key_joins_nothing(run: Command, gateway: Serving, environ: dict[str, str]) -> None:
    code, out, err = run("join", gateway.url, "--fingerprint", fingerprint(gateway), given="llmauth_no_key\n")
    assert (code, out) == (1, "")
    assert "did not take the credential (status 401)" in err
    assert joined.read(environ) is None


def test_over_tls_that_only_a_private_ca_vouches_for(
    run: Command,
    serve: Callable[..., Serving],
    tmp_path: Path,
    environ: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options, ca_file = certificates.listener(tmp_path)
    gateway = serve(server=options)
    url = f"https://localhost:{gateway.tls_port}"
    monkeypatch.setenv("LLMAUTH_KEY", gateway.key())
    words = ("join", url, "--fingerprint", fingerprint(gateway))
    code, _, err = run(*words)
    assert (code, "signed neither by a public CA nor by the one that it shows" in err) == (1, True)
    code, _, err = run(*words, "--proxy-ca-file", str(ca_file))
    assert code == 0, err
    monkeypatch.delenv("LLMAUTH_KEY")
    assert run("whoami")[0] == 0, "the CA is remembered"
