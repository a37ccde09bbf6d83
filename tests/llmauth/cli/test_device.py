"""The device flow against a provider whose answers a test chooses; the real one is in test_login.py."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from llmauth.authenticators.oidc.provider import way_to
from llmauth.cli.device import GRANT, Begun, DeviceFlow, LoginFailed
from llmauth.outbound import Outbound
from tests.emulators.service import Call, Reply, Service

PENDING = (400, {"error": "authorization_pending"})
GIVEN = (200, {"access_token": "e.y.J", "token_type": "Bearer"})


class Provider(Service):
    """Gives a code, and to each question for the token the next of `answers`; the last is repeated."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: list[tuple[int, Any]] = [GIVEN]
        self.code: dict[str, Any] = {}
        self.document: dict[str, Any] = {}

    def answer(self, call: Call) -> Reply:
        if call.path == "/.well-known/openid-configuration":
            endpoints = {f"{name}_endpoint": f"{self.url}/{name}" for name in ("token", "device_authorization")}
            return Reply(200, {"issuer": self.url, **endpoints, **self.document})
        if call.path == "/device_authorization":
            good = {
                "device_code": "device-canary",
                "user_code": "ABCD-EFGH",
                "verification_uri": "https://idp.example/device",
                "expires_in": 600,
            }
            return Reply(200, {**good, **self.code})
        status, told = self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)
        return Reply(status, told)


class Time:
    """A clock that passes while somebody sleeps."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def now(self) -> float:
        return sum(self.slept)


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider() as service:
        yield service


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def flow(provider: Provider, time: Time) -> DeviceFlow:
    way = way_to(provider.url, Outbound()).within(2)
    return DeviceFlow(provider.url, "terminal", way, sleep=time.sleep, now=time.now)


def failure(flow: DeviceFlow, begun: Begun | None = None) -> str:
    with pytest.raises(LoginFailed) as failed:
        flow.finish(begun or flow.begin("openid"))
    return str(failed.value)


def test_what_is_asked(flow: DeviceFlow, provider: Provider) -> None:
    begun = flow.begin("openid llm", "https://llm.example")
    assert flow.finish(begun).reveal() == "e.y.J"
    _, first, second = provider.calls
    assert first.form == {"client_id": "terminal", "scope": "openid llm", "resource": "https://llm.example"}
    assert second.form == {"grant_type": GRANT, "device_code": "device-canary", "client_id": "terminal"}
    assert "canary" not in repr(begun)


def test_it_waits_as_long_as_it_is_told(flow: DeviceFlow, provider: Provider, time: Time) -> None:
    """RFC 8628, 3.5: five seconds more at every `slow_down`, for all that follow."""
    provider.answers = [PENDING, (400, {"error": "slow_down"}), PENDING, (400, {"error": "slow_down"}), GIVEN]
    flow.finish(flow.begin("openid"))
    assert time.slept == [5, 5, 10, 10, 15]


def test_an_interval_of_the_provider(flow: DeviceFlow, provider: Provider, time: Time) -> None:
    provider.code = {"interval": 2}
    flow.finish(flow.begin("openid"))
    assert time.slept == [2]


@pytest.mark.parametrize("interval", ["1", -5, 0, True, None, 10**9])
def test_an_odd_interval_neither_spins_nor_sleeps_for_ever(
    flow: DeviceFlow, provider: Provider, interval: object
) -> None:
    provider.code = {"interval": interval}
    assert 1 <= flow.begin("openid").interval <= 60


@pytest.mark.parametrize("broken", [(500, {}), (503, b"busy"), (200, None)])
def test_a_provider_that_stumbles_is_asked_again(
    flow: DeviceFlow, provider: Provider, time: Time, broken: tuple[int, Any]
) -> None:
    if broken[0] == 200:
        provider.answers = [PENDING]
        begun = flow.begin("openid")
        sleeps = iter(("stop", "start"))

        def sleep(seconds: float) -> None:
            time.slept.append(seconds)
            match next(sleeps, None):
                case "stop":
                    provider.stop()
                case "start":
                    provider.start()
                    provider.answers = [GIVEN]

        flow._sleep = sleep
        assert flow.finish(begun).reveal() == "e.y.J"
        assert time.slept == [5, 10]  # twice as long after no answer
        return
    provider.answers = [broken, GIVEN]
    assert flow.finish(flow.begin("openid")).reveal() == "e.y.J"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((400, {"error": "access_denied"}), "refused in the browser"),
        ((400, {"error": "expired_token"}), "in time"),
        ((401, {"error": "invalid_client"}), "--client-id"),
        ((400, {"error": "unauthorized_client"}), "device flow"),
        ((400, {"error": "canary-7f3a", "error_description": "canary-7f3a"}), "status 400"),
        ((400, {"error": ["x"]}), "status 400"),
        ((403, b"\x1b[2J canary-7f3a"), "status 403"),
        ((200, {}), "no signed token"),
        ((200, {"access_token": "opaque"}), "no signed token"),
        ((200, {"access_token": 7, "id_token": None}), "no signed token"),
    ],
)
def test_ends(flow: DeviceFlow, provider: Provider, answer: tuple[int, Any], said: str) -> None:
    provider.answers = [PENDING, answer]
    told = failure(flow)
    assert said in told
    assert "canary" not in told


def test_an_id_token_where_the_access_token_is_nobodys_to_read(flow: DeviceFlow, provider: Provider) -> None:
    provider.answers = [(200, {"access_token": "opaque", "id_token": "i.d.t"})]
    assert flow.finish(flow.begin("openid")).reveal() == "i.d.t"


def test_nobody_agrees(flow: DeviceFlow, provider: Provider, time: Time) -> None:
    provider.answers = [PENDING]
    provider.code = {"expires_in": 60}
    assert "in time" in failure(flow)
    assert 50 <= time.now() <= 60


@pytest.mark.parametrize(
    "code",
    [
        {"user_code": "\x1b[2JABCD"},
        {"user_code": "A\nB"},
        {"user_code": ""},
        {"user_code": "x" * 65},
        {"user_code": 7},
        {"user_code": "\u202eABCD"},
        {"verification_uri": "javascript:alert(1)"},
        {"verification_uri": "https://idp.example/\x1b]8;;"},
        {"verification_uri": "file:///etc/passwd"},
        {"verification_uri": None},
        {"device_code": ""},
        {"device_code": None},
    ],
)
def test_what_a_terminal_must_not_be_shown(flow: DeviceFlow, provider: Provider, code: dict[str, Any]) -> None:
    provider.code = code
    with pytest.raises(LoginFailed, match="no code that could be shown"):
        flow.begin("openid")


@pytest.mark.parametrize(
    "document",
    [
        {"issuer": "https://evil.example"},
        {"token_endpoint": "http://evil.example/token"},
        {"token_endpoint": None},
        {"device_authorization_endpoint": "ftp://evil.example"},
        {"device_authorization_endpoint": None},
    ],
)
def test_a_document_that_cannot_be_followed(flow: DeviceFlow, provider: Provider, document: dict[str, Any]) -> None:
    provider.document = document
    with pytest.raises(LoginFailed):
        flow.begin("openid")
    assert len(provider.calls) == 1


def test_a_provider_that_is_not_there(flow: DeviceFlow, provider: Provider) -> None:
    provider.stop()
    with pytest.raises(LoginFailed, match="127"):
        flow.begin("openid")
