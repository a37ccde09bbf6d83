"""`llmauth login` by a real OpenID provider, and a proxy that takes whatever token it gives."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import jwt
import keyring
import pytest
from keyring.backend import KeyringBackend

from llmauth import cli
from llmauth.cli.device import DeviceFlow
from tests.emulators.service import Call, Reply, Service
from tests.fixtures.openid import TERMINAL, OpenIdProvider

SESSION = "llmauth_s_0123456789abcdef"


class Proxy(Service):
    """Exchanges any bearer for one session."""

    def __init__(self) -> None:
        super().__init__()
        self.told: dict[str, Any] = {"session_token": SESSION, "expires_in": 43_200, "user": "alice"}
        self.status = 200

    def answer(self, call: Call) -> Reply:
        if (call.method, call.path) != ("POST", "/auth/login") or call.bearer is None:
            return Reply(404)
        return Reply(self.status, self.told)


class Kept(KeyringBackend):
    """A keyring in memory."""

    priority = 1

    def __init__(self) -> None:
        super().__init__()
        self.entries: dict[tuple[str, str], str] = {}

    def set_password(self, service: str, username: str, password: str) -> None:
        self.entries[service, username] = password

    def get_password(self, service: str, username: str) -> str | None:
        return self.entries.get((service, username))


@pytest.fixture(scope="module")
def issuer() -> Iterator[OpenIdProvider]:
    with OpenIdProvider([]) as provider:
        yield provider


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with Proxy() as service:
        yield service


@pytest.fixture
def kept() -> Iterator[Kept]:
    before, mine = keyring.get_keyring(), Kept()
    keyring.set_keyring(mine)
    yield mine
    keyring.set_keyring(before)


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(proxy: Proxy, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """The command, with a person who decides as soon as the code is shown."""
    monkeypatch.setenv("LLMAUTH_HOME", str(tmp_path))
    monkeypatch.delenv("LLMAUTH_CONFIG", raising=False)

    def one(*words: str, person: Callable[[str], None] = lambda code: None) -> tuple[int, str, str]:
        shown: list[str] = []

        def sleep(_: float) -> None:
            if not shown:
                shown.append(capsys.readouterr().err)
                person(shown[0].partition("enter the code ")[2].split()[0])

        monkeypatch.setattr("llmauth.cli.login.DeviceFlow", partial(DeviceFlow, sleep=sleep, now=lambda: 0.0))
        code = cli.main(["login", "--proxy", proxy.url, *words])
        captured = capsys.readouterr()
        return code, captured.out, "".join(shown) + captured.err

    return one


def agreeing(issuer: OpenIdProvider, account: str = "alice", *, allow: bool = True) -> Callable[[str], None]:
    return lambda code: issuer.decide(code, account, allow=allow)


def test_a_person_agrees_and_gets_a_session(run: Run, issuer: OpenIdProvider, proxy: Proxy) -> None:
    code, out, err = run("--issuer", issuer.issuer, "--client-id", TERMINAL, person=agreeing(issuer))
    assert code == 0, err
    assert f"Open {issuer.issuer}/device and enter the code" in err
    place = proxy.url.removeprefix("http://")
    assert out == f"export HTTPS_PROXY=http://alice:{SESSION}@{place}\nexport LLMAUTH_KEY={SESSION}\n"
    (call,) = proxy.calls
    token = call.bearer
    assert token is not None
    claims = jwt.decode(token, options={"verify_signature": False})
    assert (claims["sub"], claims["aud"]) == ("alice", TERMINAL)
    assert token not in out + err


def test_a_shell_understands_it(run: Run, issuer: OpenIdProvider) -> None:
    _, out, _ = run("--issuer", issuer.issuer, "--client-id", TERMINAL, person=agreeing(issuer))
    done = subprocess.run(["sh", "-c", f"{out}\nprintenv LLMAUTH_KEY"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == SESSION


def test_a_token_for_the_proxy_alone(run: Run, issuer: OpenIdProvider, proxy: Proxy) -> None:
    words = ("--issuer", issuer.issuer, "--client-id", TERMINAL, "--scope", "openid llm")
    assert run(*words, "--resource", "urn:audience:llm", person=agreeing(issuer))[0] == 0
    token = proxy.calls[0].bearer
    assert token is not None
    assert jwt.decode(token, options={"verify_signature": False})["aud"] == "llm"


def test_for_scripts(run: Run, issuer: OpenIdProvider) -> None:
    code, out, _ = run("--issuer", issuer.issuer, "--client-id", TERMINAL, "--json", person=agreeing(issuer))
    assert code == 0
    told = json.loads(out)
    assert (told["session_token"], told["expires_in"]) == (SESSION, 43_200)


def test_by_the_configuration(run: Run, issuer: OpenIdProvider, tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    method = {"type": "oidc", "issuer": issuer.issuer, "audience": ["llm"], "client_ids": [TERMINAL]}
    file.write_text(json.dumps({"auth": {"methods": ["api_key", method]}}))
    code, out, err = run("--config", str(file), person=agreeing(issuer))
    assert code == 0, err
    assert SESSION in out


def test_a_person_refuses(run: Run, issuer: OpenIdProvider, proxy: Proxy) -> None:
    words = ("--issuer", issuer.issuer, "--client-id", TERMINAL)
    code, out, err = run(*words, person=agreeing(issuer, allow=False))
    assert (code, out) == (1, "")
    assert "Error: it was refused in the browser" in err
    assert proxy.calls == []


def test_a_client_that_the_provider_does_not_know(run: Run, issuer: OpenIdProvider) -> None:
    code, _, err = run("--issuer", issuer.issuer, "--client-id", "stranger")
    assert code == 1
    assert "--client-id" in err


@pytest.mark.parametrize(
    ("status", "told", "said"),
    [
        (401, {"error": {"message": "The credential is not valid."}}, "did not take the credential"),
        (503, {}, "status 503"),
        (200, {}, "without a session"),
        (200, {"session_token": "x'; rm -rf ~ #"}, "without a session"),
        (200, {"session_token": ["x"]}, "without a session"),
    ],
)
def test_what_a_proxy_may_say(
    run: Run, issuer: OpenIdProvider, proxy: Proxy, status: int, told: dict[str, Any], said: str
) -> None:
    proxy.status, proxy.told = status, told
    code, out, err = run("--issuer", issuer.issuer, "--client-id", TERMINAL, person=agreeing(issuer))
    assert (code, out) == (1, "")
    assert said in err
    assert "Traceback" not in err


def test_a_user_with_an_odd_name_gets_no_part_of_a_url(run: Run, issuer: OpenIdProvider, proxy: Proxy) -> None:
    proxy.told["user"] = "a:b@evil.example/$(id)"
    _, out, _ = run("--issuer", issuer.issuer, "--client-id", TERMINAL, person=agreeing(issuer))
    assert f"http://session:{SESSION}@127.0.0.1" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "--issuer"),
        (("--issuer", "http://idp.example", "--client-id", "x"), "https://"),
        (("--issuer", "https://idp.example"), "--client-id"),
        (("--issuer", "https://idp.example", "--client-id", "x", "--proxy", "canary"), "http://HOST:PORT"),
    ],
)
def test_wrong_use(run: Run, words: tuple[str, ...], said: str) -> None:
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert said in err
    assert "canary" not in err


def test_nothing_is_kept_unless_it_is_asked_for(
    run: Run, issuer: OpenIdProvider, proxy: Proxy, kept: Kept, tmp_path: Path
) -> None:
    words = ("--issuer", issuer.issuer, "--client-id", TERMINAL)
    before = sorted(tmp_path.rglob("*"))
    assert run(*words, person=agreeing(issuer))[0] == 0
    assert kept.entries == {}
    assert sorted(tmp_path.rglob("*")) == before
    assert run(*words, "--save", person=agreeing(issuer))[0] == 0
    place = proxy.url.removeprefix("http://")
    assert kept.entries == {("llmauth", f"session@{place}"): SESSION}


def test_a_code_for_a_telephone(run: Run, issuer: OpenIdProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    _, _, err = run("--issuer", issuer.issuer, "--client-id", TERMINAL, person=agreeing(issuer))
    assert "▀" in err or "█" in err


def test_waiting_is_interrupted_by_hand(run: Run, issuer: OpenIdProvider) -> None:
    def leave(_: str) -> None:
        raise KeyboardInterrupt

    assert run("--issuer", issuer.issuer, "--client-id", TERMINAL, person=leave)[0] == cli.INTERRUPTED
