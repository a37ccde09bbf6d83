"""Heads that come again are not judged again, and nothing else passes for them: attacks over real sockets."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from mitmproxy import http

from addons.chain import chain as whole_chain
from addons.exchange import Exchanges
from llmauth.context import Credentialed
from llmauth.demo.credentials import DemoCredentials
from llmauth.demo.emulators import Emulators
from llmauth.gateway import Gateway
from llmauth.rules import NO_RULES, Rules
from llmauth.storage.keys import KeyStore
from tests.fixtures import h2raw
from tests.fixtures.calls import CHAT, CHAT_PATH, JSON, OPENAI, eventually
from tests.fixtures.master import Running, run
from tests.fixtures.raw import Answer, Wire, tunnel

PATH = f"/transparent/openai{CHAT_PATH}"
LONGER = CHAT.replace(b"hello", b"hello, " * 20)
Fields = list[tuple[str, str]]


class Spy:
    """Keeps what the chain knew of each exchange when it was over."""

    name = "spy"

    def __init__(self, exchanges: Exchanges) -> None:
        self.exchanges = exchanges
        self.seen: list[Any] = []

    def response(self, flow: http.HTTPFlow) -> None:
        self.seen.append(self.exchanges.of(flow))

    @property
    def repeated(self) -> list[bool]:
        """Of each request, oldest first, whether its head was known."""
        return [exchange.known is not None for exchange in self.seen if exchange.door.value != "connect"]


def spied(gateway: Gateway, exchanges: Exchanges) -> Sequence[Any]:
    return [*whole_chain(gateway, exchanges), Spy(exchanges)]


@pytest.fixture(scope="module")
def providers() -> Iterator[Emulators]:
    with Emulators(pace=0.0, tokens=2) as providers:
        yield providers


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, providers: Emulators) -> Iterator[Running]:
    limits = {"body_bytes": 100_000}
    running = run(tmp_path_factory.mktemp("master"), providers, chain=spied, hook_time_limit=5.0, limits=limits)
    yield running
    running.stop()


@pytest.fixture
def emulators(providers: Emulators) -> Emulators:
    providers.clear()
    return providers


@pytest.fixture
def spy(served: Running) -> Spy:
    spy: Spy = served.master.addons.get("spy")
    spy.seen.clear()
    return spy


@pytest.fixture
def keys(served: Running) -> Iterator[KeyStore]:
    store = KeyStore(served.master.gateway.settings.storage.url)
    yield store
    store.close()


def issued(keys: KeyStore, served: Running, name: str, rules: Rules = NO_RULES) -> str:
    """A key that the gateway knows of."""
    key = keys.create(name, rules=rules)[1].reveal()
    with Wire(served.port) as wire:
        eventually(lambda: wire.request("GET", "/auth/whoami", head(key)).status == 200, timeout=5)
    return key


def head(key: str) -> Fields:
    return [("Host", "gateway"), ("Authorization", f"Bearer {key}"), JSON]


def ask(wire: Wire, key: str, body: bytes = CHAT, *, path: str = PATH, more: Fields | None = None) -> Answer:
    return wire.request("POST", path, [*head(key), *(more or [])], body)


def h2_head(key: str, body: bytes) -> list[tuple[str | bytes, str | bytes]]:
    own = (("x-api-key", key), ("content-type", "application/json"), ("content-length", str(len(body))))
    return h2raw.head(CHAT_PATH, OPENAI, *own, method="POST")


def inside(wire: Wire, body: bytes = CHAT) -> Answer:
    return wire.request("POST", CHAT_PATH, [("Host", OPENAI), ("Authorization", "Bearer sk-placeholder"), JSON], body)


# ---- what it is for ------------------------------------------------------------------------------------------------


def test_a_head_that_comes_again_is_judged_once_and_leaves_as_the_first_did(
    served: Running, emulators: Emulators, spy: Spy
) -> None:
    with Wire(served.port) as wire:
        answers = [ask(wire, served.key, body) for body in (CHAT, LONGER, CHAT)]
    assert [answer.status for answer in answers] == [200, 200, 200]
    assert spy.repeated == [False, True, True]
    seen = emulators.requests(OPENAI)
    assert [each.body for each in seen] == [CHAT, LONGER, CHAT]
    assert [each.values("content-length") for each in seen] == [[b"%d" % len(each.body)] for each in seen]
    ids = [each.values("x-request-id") for each in seen]
    assert ids == [[exchange.context.request_id.encode()] for exchange in spy.seen]
    assert len({id for each in ids for id in each}) == 3
    own = {b"content-length", b"x-request-id"}
    first, *others = [[field for field in each.headers if field[0].lower() not in own] for each in seen]
    assert others == [first, first]


def test_so_in_a_tunnel(served: Running, emulators: Emulators, spy: Spy) -> None:
    with tunnel(served.port, OPENAI, served.key, served.ca_file) as wire:
        assert [inside(wire, body).status for body in (CHAT, LONGER)] == [200, 200]
    assert spy.repeated == [False, True]
    assert [each.body for each in emulators.requests(OPENAI)] == [CHAT, LONGER]
    assert {each.values("authorization")[0] for each in emulators.requests()} == {
        f"Bearer {emulators.credentials.openai_key}".encode()
    }


def test_what_is_known_of_both_is_the_same(served: Running, emulators: Emulators, spy: Spy) -> None:
    with Wire(served.port) as wire:
        ask(wire, served.key)
        ask(wire, served.key)
    first, second = spy.seen
    assert type(first.context) is type(second.context) is Credentialed
    mine = {"request_id", "received_at", "started"}
    one, other = ({name: value for name, value in vars(each.context).items() if name not in mine} for each in spy.seen)
    assert one == other
    for name in ("route", "handler", "approved", "leased", "secrets", "door", "decisions", "line"):
        assert getattr(first, name) == getattr(second, name), name
    assert second.request == first.request


def test_what_the_memory_takes_is_told_as_overhead_too(
    served: Running, emulators: Emulators, spy: Spy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for a head that was judged, the clock runs from its arrival, and again from the end of the body."""
    gateway = served.master.gateway

    def slow(what: Callable[..., Any]) -> Callable[..., Any]:
        def asked(*given: Any) -> Any:
            time.sleep(0.03)
            return what(*given)

        return asked

    with Wire(served.port) as wire:
        assert ask(wire, served.key).status == 200
        served.call(lambda: monkeypatch.setattr(gateway.plan.auth, "stands", slow(gateway.plan.auth.stands)))
        served.call(lambda: monkeypatch.setattr(gateway.credential, "held", slow(gateway.credential.held)))
        assert ask(wire, served.key).status == 200
        served.call(monkeypatch.undo)
    last = spy.seen[-1]
    assert spy.repeated == [False, True]
    assert last.head_took > 0.03
    assert last.approved_at - last.body_in_at > 0.03


def test_a_signature_is_never_sent_twice(served: Running, emulators: Emulators, spy: Spy) -> None:
    """The head is known, and each body is signed by itself; the provider looks."""
    path = "/transparent/bedrock_us1/model/anthropic.claude-3-haiku-20240307-v1:0/converse"
    bodies = [b'{"messages":[{"role":"user","content":[{"text":"%s"}]}]}' % text for text in (b"one", b"two")]
    with Wire(served.port) as wire:
        assert [ask(wire, served.key, body, path=path).status for body in bodies] == [200, 200]
    assert spy.repeated == [False, True]
    signatures = {each.values("authorization")[0] for each in emulators.requests()}
    assert len(signatures) == 2


# ---- another head on the same connection ---------------------------------------------------------------------------


OTHERS: dict[str, Callable[[str], tuple[str, str, Fields]]] = {
    "another key": lambda key: ("POST", PATH, head(key[:-1] + ("A" if key[-1] != "A" else "B"))),
    "no key": lambda key: ("POST", PATH, [("Host", "gateway"), JSON]),
    "a second key": lambda key: ("POST", PATH, [*head(key), ("Authorization", f"Bearer {key}")]),
    "another instance": lambda key: ("POST", PATH.replace("openai", "nobody"), head(key)),
    "a dot segment": lambda key: ("POST", f"/transparent/openai/v1/../admin{CHAT_PATH}", head(key)),
    "another method": lambda key: ("TRACE", PATH, head(key)),
    "another Host": lambda key: ("POST", PATH, [("Host", "a b"), *head(key)[1:]]),
    "no Host": lambda key: ("POST", PATH, head(key)[1:]),
    "two Hosts": lambda key: ("POST", PATH, [("Host", "gateway"), *head(key)]),
    "a coding": lambda key: ("POST", PATH, [*head(key), ("Transfer-Encoding", "chunked")]),
    "a second length": lambda key: ("POST", PATH, [*head(key), ("Content-Length", "3")]),
    "a length with an underscore": lambda key: ("POST", PATH, [*head(key), ("Content_Length", "3")]),
    "an upgrade": lambda key: ("POST", PATH, [*head(key), ("Connection", "Upgrade"), ("Upgrade", "smtp")]),
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_another_head_is_judged_whatever_came_before(
    served: Running, emulators: Emulators, spy: Spy, other: Callable[[str], tuple[str, str, Fields]]
) -> None:
    with Wire(served.port) as wire:
        assert [ask(wire, served.key).status for _ in range(2)] == [200, 200]
        method, target, headers = other(served.key)
        assert 400 <= wire.request(method, target, headers, CHAT).status < 500
    assert len(emulators.requests()) == 2
    assert spy.repeated[2:] in ([], [False])


@pytest.mark.parametrize("length", ["+5", "5 5", "0x5", "5,5", "1" * 20, "-1", ""])
def test_a_length_that_is_no_number_is_refused_after_one_that_was(
    served: Running, emulators: Emulators, length: str
) -> None:
    with Wire(served.port) as wire:
        assert ask(wire, served.key).status == 200
        lines = [f"POST {PATH} HTTP/1.1", *(f"{name}: {value}" for name, value in head(served.key))]
        wire.send("\r\n".join([*lines, f"Content-Length: {length}", "", ""]).encode() + CHAT)
        assert wire.answer().status == 400
    assert len(emulators.requests()) == 1


def test_the_limit_of_a_body_holds_for_a_known_head(served: Running, emulators: Emulators) -> None:
    with Wire(served.port) as wire:
        assert ask(wire, served.key).status == 200
        lines = [f"POST {PATH} HTTP/1.1", *(f"{name}: {value}" for name, value in head(served.key))]
        wire.send("\r\n".join([*lines, "Content-Length: 100001", "", ""]).encode())
        assert wire.answer().status == 413
    assert len(emulators.requests()) == 1


@pytest.mark.parametrize("more", [("X-Request-Id", "mine"), ("Expect", "100-continue")])
def test_a_head_that_is_for_one_request_is_not_kept(
    served: Running, emulators: Emulators, spy: Spy, more: tuple[str, str]
) -> None:
    with Wire(served.port) as wire:
        assert [ask(wire, served.key, more=[more]).status for _ in range(2)] == [200, 200]
    assert spy.repeated == [False, False]


@pytest.mark.parametrize(
    "more", [[("X-Long", "x" * 9000)], [(f"X-{number}", "x") for number in range(70)]], ids=["bytes", "fields"]
)
def test_a_long_head_is_not_kept(served: Running, emulators: Emulators, spy: Spy, more: Fields) -> None:
    with Wire(served.port) as wire:
        assert [ask(wire, served.key, more=more).status for _ in range(2)] == [200, 200]
    assert spy.repeated == [False, False]


def test_who_never_repeats_a_head_is_not_kept_one_for_each(served: Running, emulators: Emulators, spy: Spy) -> None:
    """After four in a row it is given up for a while, whatever comes; the 64th is kept again."""
    with Wire(served.port) as wire:
        for trace in [*map(str, range(6)), *"bbbb", *map(str, range(10, 63)), *"ccc"]:
            assert ask(wire, served.key, more=[("traceparent", trace)]).status == 200
    assert len(spy.repeated) == 66
    assert spy.repeated == [False] * 64 + [True] * 2


def test_nothing_is_known_on_another_connection(served: Running, emulators: Emulators, spy: Spy) -> None:
    for _ in range(2):
        with Wire(served.port) as wire:
            assert ask(wire, served.key).status == 200
    assert spy.repeated == [False, False]


# ---- the same head, and something else has changed -----------------------------------------------------------------


def test_two_callers_on_one_connection_stay_two(
    served: Running, emulators: Emulators, spy: Spy, keys: KeyStore
) -> None:
    other = issued(keys, served, "other")
    spy.seen.clear()
    with Wire(served.port) as wire:
        for key in (served.key, served.key, other, other, served.key, other):
            assert ask(wire, key).status == 200
    users = [exchange.context.identity.user for exchange in spy.seen]
    assert users == ["test", "test", "other", "other", "test", "other"]
    assert spy.repeated == [False, True, False, True, False, False]


def test_a10_where_a_rule_or_a_price_asks_for_the_model_every_body_is_judged(
    served: Running, emulators: Emulators, spy: Spy, keys: KeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The head says nothing of what stands in the body."""
    restricted = issued(keys, served, "restricted", Rules(models=("gpt-4o*",)))
    spy.seen.clear()
    with Wire(served.port) as wire:
        assert [ask(wire, restricted, body).status for body in (CHAT, CHAT)] == [200, 200]
        assert ask(wire, restricted, CHAT.replace(b"gpt-4o", b"gpt-5o")).status == 403
    assert spy.repeated == [False, False, False]
    monkeypatch.setattr(served.master.gateway.plan.model, "reads_bodies", True)
    spy.seen.clear()
    with Wire(served.port) as wire:
        assert [ask(wire, served.key).status for _ in range(2)] == [200, 200]
    assert spy.repeated == [False, False]


def test_requests_of_two_callers_at_once_on_one_connection_stay_their_own(
    served: Running, emulators: Emulators, spy: Spy, keys: KeyStore
) -> None:
    """HTTP/2: the heads come in turns, the bodies in another order, and what is known changes in between."""
    callers = {"test": served.key, "second": issued(keys, served, "second")}
    spy.seen.clear()
    emulators.clear()
    bodies = [(user, CHAT.replace(b"hello", f"{user} {10**n}".encode())) for n in range(6) for user in callers]
    with h2raw.in_tunnel(served.port, OPENAI, None, served.ca_file) as client:

        def opened(user: str, body: bytes) -> int:
            return client.open(h2_head(callers[user], body), end=False)

        def ended(streams: dict[int, bytes]) -> None:
            for number in reversed(streams):
                client.body(number, streams[number])
            assert {client.answer(number).status for number in streams} == {200}

        ended({opened(user, body): body for user, body in bodies[:2]})
        ended({opened(user, body): body for user, body in bodies[2:]})
    told = [exchange for exchange in spy.seen if exchange.door.value != "connect"]
    assert len(told) == len(bodies)
    assert any(exchange.known is not None for exchange in told)
    for exchange in told:
        assert exchange.context.identity.user.encode() in exchange.request.body
        assert exchange.known is None or exchange.known.proof.identity == exchange.context.identity
    assert sorted(each.body for each in emulators.requests()) == sorted(body for _, body in bodies)
    assert all(each.values("content-length") == [b"%d" % len(each.body)] for each in emulators.requests())


def test_a_key_that_was_revoked_is_refused_between_two_equal_heads(
    served: Running, emulators: Emulators, keys: KeyStore
) -> None:
    key = issued(keys, served, "ending")
    with (
        Wire(served.port) as wire,
        tunnel(served.port, OPENAI, key, served.ca_file) as inner,
        Wire(served.port) as later,
    ):
        for _ in range(2):
            assert (ask(wire, key).status, inside(inner).status) == (200, 200)
        keys.revoke("ending")
        eventually(lambda: ask(later, key).status == 401, timeout=5)
        emulators.clear()
        assert (ask(wire, key).status, inside(inner).status) == (401, 401)
    assert not emulators.requests()


def test_the_key_of_the_tunnel_is_asked_for_beside_that_of_the_head(
    served: Running, emulators: Emulators, spy: Spy, keys: KeyStore
) -> None:
    """Both are of one user; the head's own key still stands when the tunnel's has ended."""
    outer, own = (keys.create(name, user="somebody")[1].reveal() for name in ("outer", "own"))
    with Wire(served.port) as wire:
        eventually(lambda: {ask(wire, key).status for key in (outer, own)} == {200}, timeout=5)
    spy.seen.clear()
    head = h2_head(own, CHAT)
    with h2raw.in_tunnel(served.port, OPENAI, outer, served.ca_file) as client, Wire(served.port) as later:
        assert [client.request(head, CHAT).status for _ in range(2)] == [200, 200]
        assert spy.repeated == [False, True]
        keys.revoke("outer")
        eventually(lambda: ask(later, outer).status == 401, timeout=5)
        emulators.clear()
        assert client.request(head, CHAT).status == 401
    assert not emulators.requests()


def test_a_key_that_ended_is_refused_between_two_equal_heads(
    tmp_path: Path, emulators: Emulators, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = run(tmp_path, emulators, hook_time_limit=5.0)
    clock = running.master.gateway._basis.clock
    keys = KeyStore(running.master.gateway.settings.storage.url)
    key = keys.create("short", expires_at=time.time() + 3600)[1].reveal()
    keys.close()
    try:
        with Wire(running.port) as wire:
            assert [ask(wire, key).status for _ in range(2)] == [200, 200]
            running.call(lambda: monkeypatch.setattr(clock, "wall", lambda: time.time() + 3601))
            emulators.clear()
            assert ask(wire, key).status == 401
        assert not emulators.requests()
    finally:
        running.stop()


def test_a_credential_that_was_replaced_is_sent_with_the_very_next_request(tmp_path: Path) -> None:
    first, second = DemoCredentials.random(), DemoCredentials.random()
    file = tmp_path / "api_key"
    file.write_text(first.openai_key)
    strategies = [{"type": "file", "path": str(file)}]
    instances = {"openai": {"type": "openai", "authentication": {"strategies": strategies}}}
    with Emulators(credentials=first, tokens=2, pace=0) as own:
        running = run(tmp_path, own, instances=instances, environ={}, chain=spied, hook_time_limit=5.0)
        try:
            with Wire(running.port) as wire:
                assert [ask(wire, running.key).status for _ in range(2)] == [200, 200]
                file.write_text(second.openai_key)
                own.credentials = second
                spy: Spy = running.master.addons.get("spy")
                leased = spy.seen[-1].leased
                assert leased is not None
                running.call(lambda: running.master.gateway.credential.discard("openai", leased.generation))
                assert [ask(wire, running.key).status for _ in range(2)] == [200, 200]
            assert spy.repeated == [False, True, True, True]
            assert spy.seen[-1].leased.generation != leased.generation
            assert spy.seen[-1].known.sent.leased is spy.seen[-1].leased
        finally:
            running.stop()


def test_a_gateway_that_drains_refuses_a_known_head(tmp_path: Path, emulators: Emulators) -> None:
    running = run(tmp_path, emulators, hook_time_limit=5.0)
    try:
        with Wire(running.port) as wire:
            assert ask(wire, running.key).status == 200
            running.call(lambda: setattr(running.master.exchanges, "draining", True))
            assert ask(wire, running.key).status == 503
    finally:
        running.stop()
    assert len(emulators.requests()) == 1


def test_a_failing_look_into_the_memory_stops_the_request(
    tmp_path: Path, emulators: Emulators, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F1: in doubt nothing leaves."""

    def broken(*_: Any) -> None:
        raise RuntimeError

    running = run(tmp_path, emulators, hook_time_limit=5.0)
    try:
        with Wire(running.port) as wire:
            assert ask(wire, running.key).status == 200
            running.call(lambda: monkeypatch.setattr(running.master.gateway.plan.auth, "stands", broken))
            assert ask(wire, running.key).status == 500
    finally:
        running.stop()
    assert len(emulators.requests()) == 1


class Script:
    """Another script, as a stock tool loads it before the chain."""

    name = "script"

    async def request(self, flow: http.HTTPFlow) -> None:
        await asyncio.sleep(0)


def test_a_known_head_is_let_through_behind_a_script_that_waits(tmp_path: Path, emulators: Emulators) -> None:
    """What the memory settled must not be judged after all: the judges would meet a request that is signed already."""
    chain = lambda gateway, exchanges: [Script(), *spied(gateway, exchanges)]  # noqa: E731
    running = run(tmp_path, emulators, chain=chain, hook_time_limit=5.0)
    try:
        with Wire(running.port) as wire:
            assert [ask(wire, running.key, body).status for body in (CHAT, LONGER, CHAT)] == [200, 200, 200]
        assert running.master.addons.get("spy").repeated == [False, True, True]
    finally:
        running.stop()
    assert [each.body for each in emulators.requests()] == [CHAT, LONGER, CHAT]


def test_an_envelope_is_opened_each_time_though_its_head_is_the_same(tmp_path: Path) -> None:
    """The body chooses the model, also where the credential is a key that could be sent again as it was."""
    models = ["anthropic.claude-3-haiku-20240307-v1:0", "anthropic.claude-3-sonnet-20240229-v1:0"] * 2
    question = {
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "hi"}],
    }
    instances = {"bedrock_us1": {"type": "bedrock", "region": "us-east-1", "default": True}}
    with Emulators(tokens=2, pace=0) as own:
        environ = {"AWS_BEARER_TOKEN_BEDROCK": own.credentials.bedrock_api_key}
        running = run(tmp_path, own, instances=instances, environ=environ, chain=spied, hook_time_limit=5.0)
        try:
            with Wire(running.port) as wire:
                for model in models:
                    envelope = json.dumps({"modelId": model, "body": question}).encode()
                    answer = ask(wire, running.key, envelope, path="/v1/bedrock/invoke-model")
                    assert answer.status == 200, answer.body
            spy: Spy = running.master.addons.get("spy")
            assert spy.repeated == [False] * 4
            assert [exchange.line for exchange in spy.seen] == [None] * 4, "what its body chose is no verdict on a head"
        finally:
            running.stop()
        paths = [each.target.decode() for each in own.requests()]
    assert paths == [f"/model/{model.replace(':', '%3A')}/invoke" for model in models]
