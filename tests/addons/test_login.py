"""A1, A3: the one request that comes without a proof, and what somebody who is known may ask about itself."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import pyotp
import pytest
from mitmproxy import http

from addons.arrive import Arrive
from addons.authenticate import Authenticate
from addons.login import LOGIN, LOGOUT, WHOAMI, Account, Login
from llmauth.authenticators.keys import IssuedKeys
from llmauth.context import Authenticated
from llmauth.storage.home import StateUnusable
from tests.addons import flows
from tests.addons.conftest import House

Field = tuple[bytes, bytes]


@pytest.fixture
def login(house: House) -> Login:
    return Login(house.gateway, house.exchanges)


def key(text: str) -> Field:
    return b"X-API-Key", text.encode()


def poll(house: House) -> None:
    for method in house.gateway.plan.auth._judges:
        if isinstance(method, IssuedKeys):
            method._feed.poll()


async def ask(
    house: House, login: Login, *fields: Field, body: bytes = b"", method: bytes = b"POST", path: str = LOGIN
) -> http.HTTPFlow:
    """As the chain does: the head, then, unless that was answered, the body."""
    length = (b"Content-Length", str(len(body)).encode())
    flow = flows.gateway(house.exchanges, path.encode(), length, *fields, method=method)
    Arrive(house.gateway, house.exchanges).requestheaders(flow)
    login.requestheaders(flow)
    if flow.response is None:
        flow.request.raw_content = body
        rest = login.request(flow)
        if rest is not None:
            await rest
    return flow


async def account(house: House, path: str, *fields: Field, method: bytes = b"GET") -> http.HTTPFlow:
    flow = flows.gateway(house.exchanges, path.encode(), *fields, method=method)
    Arrive(house.gateway, house.exchanges).requestheaders(flow)
    for addon in (Authenticate(house.exchanges), Account(house.gateway, house.exchanges)):
        rest = addon.requestheaders(flow)
        if rest is not None:
            await rest
    return flow


def status(flow: http.HTTPFlow) -> int | None:
    return flow.response.status_code if flow.response else None


def told(flow: http.HTTPFlow) -> dict[str, Any]:
    assert flow.response is not None
    facts: dict[str, Any] = json.loads(flow.response.content or b"")
    return facts


async def session(house: House, login: Login) -> Field:
    return b"X-Session-Token", told(await ask(house, login, key(house.key)))["session_token"].encode()


@pytest.mark.parametrize("place", ["body", "X-API-Key", "Authorization"])
async def test_a_key_opens_a_session_from_wherever_it_stands(house: House, login: Login, place: str) -> None:
    body = json.dumps({"api_key": house.key}).encode() if place == "body" else b""
    value = f"Bearer {house.key}" if place == "Authorization" else house.key
    fields = () if place == "body" else ((place.encode(), value.encode()),)
    flow = await ask(house, login, *fields, body=body)
    facts = told(flow)
    assert facts.keys() == {"session_token", "expires_in", "user"}
    assert (facts["expires_in"], facts["user"]) == (43_200, "alice")
    assert flow.response is not None
    assert flow.response.headers["cache-control"] == "no-store"
    answer = await account(house, WHOAMI, (b"Authorization", b"Bearer " + facts["session_token"].encode()))
    assert told(answer)["method"] == "session"


async def test_what_answers_is_not_sent_on_and_counts_as_known(house: House, login: Login) -> None:
    flow = await ask(house, login, key(house.key))
    exchange = house.exchanges.of(flow)
    assert exchange.claimed_by is login
    assert isinstance(exchange.context, Authenticated)
    assert [one.router for one in exchange.context.decisions] == ["auth"]


async def test_a_second_factor_is_taken_from_body_or_head_and_once(house: House, login: Login) -> None:
    enrolment = house.keys.enrol("alice")
    poll(house)
    code = pyotp.TOTP(enrolment.secret.reveal()).now()
    assert status(await ask(house, login, key(house.key))) == 401
    body = json.dumps({"api_key": house.key, "totp_code": code}).encode()
    assert [status(await ask(house, login, body=body)) for _ in range(2)] == [200, 401]
    backup = enrolment.backup_codes[0].reveal().encode()
    flow = await ask(house, login, key(house.key), (b"X-TOTP-Code", backup))
    facts = told(await account(house, WHOAMI, (b"X-Session-Token", told(flow)["session_token"].encode())))
    assert facts["second_factor"] is True


@pytest.mark.parametrize(
    ("fields", "body", "wanted"),
    [
        ((), b"", 401),
        ((), b"{}", 401),
        ((), b'{"api_key": "sk-theirs"}', 401),
        ((), b'{"api_key": "llmauth_x"}', 401),
        ((), b"nonsense", 400),
        ((), b'{"api_key": "%s"}' % (b"x" * 5000), 413),
        (((b"X-TOTP-Code", b"1"), (b"X-TOTP-Code", b"2")), b"", 400),
        (((b"X-API-Key", b"a"), (b"X-API-Key", b"b")), b"", 400),
    ],
)
async def test_what_opens_none(house: House, login: Login, fields: tuple[Field, ...], body: bytes, wanted: int) -> None:
    flow = await ask(house, login, *fields, body=body)
    assert status(flow) == wanted
    assert b"session_token" not in (flow.response.content or b"" if flow.response else b"")
    assert [one for one in house.keys.list(with_sessions=True) if one.kind == "session"] == []


async def test_two_credentials_that_differ_are_refused(house: House, login: Login) -> None:
    other = house.keys.create("bob")[1].reveal()
    body = json.dumps({"api_key": other}).encode()
    assert status(await ask(house, login, key(house.key), body=body)) == 403
    same = json.dumps({"api_key": house.key}).encode()
    assert status(await ask(house, login, key(house.key), body=same)) == 200


async def test_a_body_of_unknown_length_is_refused_before_it_comes(house: House, login: Login) -> None:
    for fields, chosen in (((b"Transfer-Encoding", b"chunked"),), b"http/1.1"), ((), b"h2"):
        flow = flows.gateway(house.exchanges, LOGIN.encode(), *fields, method=b"POST")
        flow.client_conn.alpn = chosen
        Arrive(house.gateway, house.exchanges).requestheaders(flow)
        login.requestheaders(flow)
        assert status(flow) == 400, chosen


@pytest.mark.parametrize("method", [b"GET", b"PUT", b"HEAD", b"OPTIONS"])
async def test_it_is_asked_by_post_alone(house: House, login: Login, method: bytes) -> None:
    """By another method it is a request like any other, and says so to nobody but callers."""
    flow = await ask(house, login, key(house.key), method=method)
    assert house.exchanges.of(flow).claimed_by is None
    assert status(await account(house, LOGIN, method=method)) == 401
    flow = await account(house, LOGIN, key(house.key), method=method)
    assert status(flow) == 405
    assert flow.response is not None
    assert flow.response.headers["allow"] == "POST"


@pytest.mark.parametrize("path", ["/auth/login/", "/auth/login?x=1", "/auth/Login", "/auth/logout", "/v1/models"])
async def test_no_other_path_is_taken_before_its_caller_is_known(house: House, login: Login, path: str) -> None:
    flow = await ask(house, login, path=path)
    assert house.exchanges.of(flow).claimed_by is None


@pytest.mark.parametrize("make", [flows.inside, flows.absolute])
async def test_a_provider_s_own_path_of_this_name_is_not_ours(
    house: House, login: Login, make: Callable[..., http.HTTPFlow]
) -> None:
    flow = make(house.exchanges)
    flow.request.method, flow.request.path = "POST", LOGIN
    Arrive(house.gateway, house.exchanges).requestheaders(flow)
    login.requestheaders(flow)
    assert house.exchanges.of(flow).claimed_by is None


async def test_logout_ends_the_session_at_once(house: House, login: Login) -> None:
    proof = await session(house, login)
    assert told(await account(house, LOGOUT, proof, method=b"POST")) == {"ended": True}
    assert status(await account(house, WHOAMI, proof)) == 401
    assert status(await account(house, WHOAMI, key(house.key))) == 200, "the key lives on"


async def test_a_key_is_not_ended_by_a_logout(house: House, login: Login) -> None:
    assert status(await account(house, LOGOUT, key(house.key), method=b"POST")) == 403
    assert status(await account(house, LOGOUT, method=b"POST")) == 401
    assert status(await account(house, LOGOUT, await session(house, login))) == 405
    assert status(await account(house, WHOAMI, key(house.key))) == 200


async def test_who_one_is(house: House) -> None:
    facts = told(await account(house, WHOAMI, key(house.key)))
    record = house.keys.list()[0]
    assert facts == {
        "user": "alice",
        "method": "api_key",
        "groups": [],
        "key_id": record.id,
        "expires_at": None,
        "second_factor": False,
        "allowed": {
            **dict.fromkeys(("models", "instances", "protocols", "hosts", "methods")),
            **dict.fromkeys(("rpm", "tpm", "concurrent", "budget", "until")),
        },
    }


RULES = {
    "policies": {
        "default": {"models": ["*"], "rpm": 600},
        "groups": {"interns": {"models": ["claude-haiku*"]}},
        "users": {
            "alice": {
                "models": ["claude-*", "gpt-5*"],
                "budget": {"amount": 40, "per": "day"},
                "expires": "2100-01-01",
            },
            "mallory": {"models": ["canary-model"], "tpm": 4242, "hosts": ["canary.example"]},
        },
    },
}


@pytest.mark.parametrize("sections", [RULES], ids=["rules"])
async def test_what_one_may_and_nobody_elses_rules(house: House) -> None:
    """The attack: to learn from one's own page what others may, and which models there are for them."""
    allowed = told(await account(house, WHOAMI, key(house.key)))["allowed"]
    assert allowed["models"] == ["claude-*", "gpt-5*"]
    assert (allowed["rpm"], allowed["tpm"], allowed["hosts"]) == (600, None, None)
    assert allowed["budget"] == {"amount": "40", "per": "day"}
    assert allowed["until"] > 4e9
    assert "canary" not in json.dumps(allowed)
    assert "haiku" not in json.dumps(allowed)
    for name, user, models in (("m", "mallory", ["canary-model"]), ("b", "bob", ["*"])):
        other = house.keys.create(name, user=user)[1].reveal()
        poll(house)
        assert told(await account(house, WHOAMI, key(other)))["allowed"]["models"] == models


@pytest.mark.parametrize(
    "sections", [{"policies": {"limits": False, "default": {"rpm": 5, "models": ["x"]}}}], ids=[""]
)
async def test_numbers_that_are_not_counted_are_not_told(house: House) -> None:
    allowed = told(await account(house, WHOAMI, key(house.key)))["allowed"]
    assert (allowed["rpm"], allowed["models"]) == (None, ["x"])


async def test_other_paths_are_left_to_others(house: House) -> None:
    for path in ("/auth", "/auth/whoami/", "/auth/whoami?x", "/v1/models"):
        assert status(await account(house, path, key(house.key))) is None, path


async def test_where_the_store_cannot_be_written_there_is_no_session_and_a_503(
    house: House, login: Login, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert status(await ask(house, login, key(house.key))) == 200

    def full(**_: object) -> None:
        raise StateUnusable("The key database cannot be written: no space left on device.")

    monkeypatch.setattr(house.gateway.plan.callers.sessions._store, "open_session", full)
    flow = await ask(house, login, key(house.key))
    assert status(flow) == 503
    assert flow.response is not None
    assert flow.response.headers["retry-after"] == "1"
    assert b"no space" not in (flow.response.content or b"")


async def test_no_secret_is_logged(house: House, login: Login, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    proof = await session(house, login)
    await account(house, LOGOUT, proof, method=b"POST")
    said = [record.getMessage() for record in caplog.records]
    assert {"A session was opened", "A session was ended"} <= set(said)
    everything = "\n".join(str(vars(record)) for record in caplog.records)
    assert house.key not in everything
    assert proof[1].decode() not in everything
