"""`llmauth join` by each way to log in, at a proxy that remembers what it was shown."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from llmauth.ca import Authority
from llmauth.cli.device import DeviceFlow
from llmauth.clients import joined
from tests.emulators.service import Call, Reply, Service
from tests.fixtures.openid import TERMINAL, OpenIdProvider
from tests.llmauth.cli.onboarding import Person
from tests.llmauth.cli.onboarding import person as person

SESSION = "llmauth_s_0123456789abcdef"


class Proxy(Service):
    """Exchanges any bearer for one session; with `wants_code` only beside a second factor."""

    def __init__(self, authority: Authority) -> None:
        super().__init__()
        self.certificate = authority.certificate_pem().encode()
        self.fingerprint = authority.fingerprint()
        self.wants_code = False
        self.whoami: dict[str, Any] = {"user": "alice", "groups": ["LLM-Users"], "method": "session"}

    def answer(self, call: Call) -> Reply:
        match call.method, call.path:
            case "GET", "/ca.pem":
                return Reply(200, self.certificate)
            case "POST", "/auth/login" if self.wants_code and call.headers.get("x-totp-code") != "123456":
                return Reply(401, {"error": {"code": "second_factor_required", "message": "A code is missing."}})
            case "POST", "/auth/login" if call.bearer:
                return Reply(200, {"session_token": SESSION, "expires_in": 43_200, "user": "alice"})
            case "GET", "/auth/whoami" if call.bearer == SESSION:
                return Reply(200, self.whoami)
        return Reply(404)

    def logged_in_with(self) -> str:
        (call,) = [one for one in self.calls if one.path == "/auth/login" and one.method == "POST"]
        assert call.bearer is not None
        return call.bearer


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[Proxy]:
    with Proxy(Authority.load_or_create(tmp_path / "ca", ["api.openai.com"], create=True)) as proxy:
        yield proxy


def test_by_a_key_on_standard_input(person: Person, proxy: Proxy) -> None:
    code, out, err = person.run("join", proxy.url, "--fingerprint", proxy.fingerprint, given="a-key\n")
    assert (code, err) == (0, "")
    assert out.startswith("Signed in as alice (LLM-Users). Session 12 h.\n")
    assert proxy.logged_in_with() == "a-key"
    assert person.ring.entries == {("llmauth", f"session@127.0.0.1:{proxy.port}"): SESSION}


def test_by_aws(person: Person, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "ACCESS_KEY_ID": "AKIAEXAMPLE",
        "SECRET_ACCESS_KEY": "canary",
        "EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    words = ("join", proxy.url, "--fingerprint", proxy.fingerprint, "--aws", "--server-id", "llm.corp")
    code, _, err = person.run(*words)
    assert (code, err) == (0, "")
    assert proxy.logged_in_with().startswith("llmauth-aws-v1.")
    assert "canary" not in proxy.logged_in_with()


def test_by_an_openid_provider(
    person: Person, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with OpenIdProvider([]) as issuer:

        def agree(_: float) -> None:
            shown = capsys.readouterr().err
            if "enter the code " in shown:
                issuer.decide(shown.partition("enter the code ")[2].split()[0], "alice", allow=True)

        monkeypatch.setattr("llmauth.cli.login.DeviceFlow", partial(DeviceFlow, sleep=agree, now=lambda: 0.0))
        words = ("--issuer", issuer.issuer, "--client-id", TERMINAL)
        code, out, err = person.run("join", proxy.url, "--fingerprint", proxy.fingerprint, *words)
    assert code == 0, err
    assert proxy.logged_in_with().count(".") == 2
    assert out.startswith("Signed in as alice")


def test_a_second_factor_is_asked_for_where_somebody_sits(
    person: Person, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy.wants_code = True
    monkeypatch.setenv("LLMAUTH_KEY", "a-key")
    words = ("join", proxy.url, "--fingerprint", proxy.fingerprint)
    code, _, err = person.run(*words)
    assert (code, "A code is missing." in err) == (1, True)
    monkeypatch.setattr("getpass.getpass", lambda _: "123456")
    assert person.run(*words, typed="")[0] == 0


def test_what_a_proxy_says_gives_a_terminal_no_orders(person: Person, proxy: Proxy) -> None:
    proxy.whoami = {
        "user": "\x1b[2Jroot",
        "groups": ["\x07"],
        "allowed": {"models": ["\x1b]0;x\x07"]},
        "expires_at": "soon",
    }
    code, out, err = person.run("join", proxy.url, "--fingerprint", proxy.fingerprint, given="k\n")
    assert code == 0
    assert out.isascii() or "\x1b" not in out
    assert "\x1b" not in out + err
    assert "\x1b" not in (joined.folder({"HOME": str(person.home)}) / joined.PROFILE).read_text()


def test_for_scripts(person: Person, proxy: Proxy) -> None:
    words = ("join", proxy.url, "--fingerprint", proxy.fingerprint, "--json")
    told = json.loads(person.run(*words, given="k\n")[1])
    assert (told["user"], told["session"], told["proxy"]) == ("alice", "keyring", proxy.url)
    assert SESSION not in json.dumps(told)
    told = json.loads(person.run(*words, "--no-save", given="k\n")[1])
    assert (told["session"], told["session_token"]) == (None, SESSION)


@pytest.mark.parametrize("url", ["", "moon", "socks5://h:1", "https://h:port", "http://h/path"])
def test_what_is_no_address(person: Person, url: str) -> None:
    code, out, err = person.run("join", url, given="k\n")
    assert (code, out) == (2, "")
    assert "http://HOST:PORT" in err


def test_no_address_and_no_key(person: Person, proxy: Proxy) -> None:
    assert person.run("join")[0] == 2
    code, _, err = person.run("join", proxy.url, "--fingerprint", proxy.fingerprint)
    assert (code, "There is no key" in err) == (2, True)


def test_what_another_proxy_has_lent_is_not_shown_to_this_one(
    person: Person, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMAUTH_KEY", "of-the-other")
    monkeypatch.setenv("LLMAUTH_PROXY", "http://127.0.0.1:9")
    assert person.run("join", proxy.url, "--fingerprint", proxy.fingerprint, given="a-key\n")[0] == 0
    assert proxy.logged_in_with() == "a-key"


@pytest.mark.timeout(10)
def test_a_ca_file_that_is_a_pipe(person: Person, proxy: Proxy, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    code, _, err = person.run("join", proxy.url, "--proxy-ca-file", str(tmp_path / "pipe"), given="k\n")
    assert (code, "is no regular file" in err) == (2, True)
    assert proxy.calls == []
