"""`llmauth whoami` against a proxy that knows one key."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import keyring
import pytest

from llmauth import cli
from tests.emulators.service import Call, Reply, Service
from tests.llmauth.cli.test_login import Kept

KEY = "llmauth_abc_0123456789"


class Proxy(Service):
    """Knows one key."""

    def __init__(self) -> None:
        super().__init__()
        self.told: dict[str, Any] = {
            "user": "alice",
            "method": "oidc",
            "groups": ["team-a", "admins"],
            "expires_at": time.time() + 600,
            "second_factor": True,
        }

    def answer(self, call: Call) -> Reply:
        if call.bearer != KEY:
            return Reply(401, {"error": {"message": "The credential is not valid."}})
        return Reply(200, self.told) if call.target == "/auth/whoami" else Reply(404)


Run = Callable[..., tuple[int, str, str]]


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


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, kept: Kept) -> Run:
    for name in ("HTTPS_PROXY", "https_proxy", "LLMAUTH_KEY"):
        monkeypatch.delenv(name, raising=False)

    def one(*words: str, **environ: str) -> tuple[int, str, str]:
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        code = cli.main(["whoami", *words])
        return code, *capsys.readouterr()

    return one


def test_by_the_key_of_the_environment(run: Run, proxy: Proxy) -> None:
    code, out, err = run("--proxy", proxy.url, LLMAUTH_KEY=KEY)
    assert code == 0, err
    assert out == "alice, by oidc\ngroups: team-a, admins\nends in 10 min\nwith a second factor\n"


def test_by_the_proxy_that_is_set(run: Run, proxy: Proxy) -> None:
    url = proxy.url.replace("://", f"://alice:{KEY}@")
    assert run(HTTPS_PROXY=url)[0] == 0
    assert run("--proxy", url)[0] == 0


def test_by_the_session_that_was_saved(run: Run, proxy: Proxy, kept: Kept) -> None:
    kept.set_password("llmauth", f"session@{proxy.url.removeprefix('http://')}", KEY)
    assert run("--proxy", proxy.url)[0] == 0


def test_for_scripts(run: Run, proxy: Proxy) -> None:
    _, out, _ = run("--proxy", proxy.url, "--json", LLMAUTH_KEY=KEY)
    assert json.loads(out) == proxy.told


@pytest.mark.parametrize(
    ("environ", "code", "said"),
    [
        ({}, 2, "llmauth login"),
        ({"LLMAUTH_KEY": "llmauth_wrong"}, 1, "did not take the credential"),
        ({"LLMAUTH_KEY": "k\r\nX: y"}, 2, "no key"),
        ({"LLMAUTH_KEY": "ключ"}, 2, "no key"),
    ],
)
def test_refusals(run: Run, proxy: Proxy, environ: dict[str, str], code: int, said: str) -> None:
    ended, out, err = run("--proxy", proxy.url, **environ)
    assert (ended, out) == (code, "")
    assert said in err
    assert "Traceback" not in err
    assert "llmauth_wrong" not in err


def test_a_terminal_takes_no_orders(run: Run, proxy: Proxy) -> None:
    proxy.told = {"user": "\x1b[2Jalice", "method": 7, "groups": ["\x1b]0;x\x07"], "expires_at": "soon"}
    _, out, _ = run("--proxy", proxy.url, LLMAUTH_KEY=KEY)
    assert "\x1b" not in out


def test_no_proxy_there(run: Run, proxy: Proxy) -> None:
    proxy.stop()
    code, _, err = run("--proxy", proxy.url, LLMAUTH_KEY=KEY)
    assert code == 1
    assert "127.0.0.1" in err
