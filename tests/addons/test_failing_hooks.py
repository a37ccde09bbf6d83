"""F1: every hook of every addon made to raise and to hang, in turn: no request leaves, and no client waits for ever."""

from __future__ import annotations

import asyncio
import inspect
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from mitmproxy import exceptions
from mitmproxy.hooks import all_hooks

from addons.chain import chain as whole_chain
from addons.exchange import Exchanges
from addons.failclosed import FailClosed
from addons.stage import stage
from addons.wire.stream import GatewayStream
from llmauth.context import RequestContext
from llmauth.demo.behaviour import Behaviour
from llmauth.demo.emulators import Emulators
from llmauth.gateway import Gateway
from tests.fixtures.master import Running, run
from tests.fixtures.raw import Answer, Wire

# What happens before the first byte of a request leaves, in the order in which it happens.
BEFORE = (
    "client_connected",
    "next_layer",
    "http_connect",
    "http_connected",
    "tls_clienthello",
    "tls_start_client",
    "tls_established_client",
    "requestheaders",
    "request",
    "server_connect",
    "server_connected",
    "tls_start_server",
    "tls_established_server",
    "server_ready",
)
ANSWERING = ("responseheaders", "response")
# What happens when the provider refuses our credential, before the client hears anything.
RENEWING = ("renew",)
# What is told of after the fact: nothing hangs on it.
AFTERWARDS = ("server_disconnected", "client_disconnected")
UNHAPPY = ("error", "http_connect_error", "server_connect_error", "tls_failed_client", "tls_failed_server")
LONGEST = 2.0

Hook = Callable[[Any], Any]


class Everywhere:
    """An addon that has every hook, so that those which ours do not need are tried as well."""


def nothing(data: Any) -> None:
    pass


for each in (*BEFORE, *ANSWERING, *RENEWING, *AFTERWARDS, *UNHAPPY):
    setattr(Everywhere, each, staticmethod(nothing))


def with_everywhere(gateway: Gateway, exchanges: Exchanges) -> Sequence[Any]:
    *others, gate = whole_chain(gateway, exchanges)
    return [*others, Everywhere(), gate]


@pytest.fixture(scope="module")
def providers() -> Iterator[Emulators]:
    with Emulators(pace=0.001, tokens=4) as providers:
        yield providers


@pytest.fixture
def emulators(providers: Emulators) -> Emulators:
    """The providers, with an empty record."""
    providers.clear()
    return providers


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, providers: Emulators) -> Iterator[Running]:
    running = run(tmp_path_factory.mktemp("master"), providers, chain=with_everywhere, hook_time_limit=0.1)
    yield running
    running.stop()


class Sabotage:
    """Puts a function in the place of one hook of one addon, and tells whether it was called."""

    def __init__(self, running: Running, addon: Any, hook: str, make: Callable[[Hook], Hook]) -> None:
        self.fired = False
        self._running, self._addon, self._hook = running, addon, hook
        instead = make(getattr(addon, hook))

        def watched(data: Any) -> Any:
            self.fired = True
            return instead(data)

        self._watched = watched

    def __enter__(self) -> Sabotage:
        self._running.call(lambda: setattr(self._addon, self._hook, self._watched))
        self._running.call(self._running.master.addons.add)  # whoever implements a hook is remembered until then
        return self

    def __exit__(self, *_: object) -> None:
        self._running.call(lambda: delattr(self._addon, self._hook))
        self._running.call(self._running.master.addons.add)


def pairs(running: Running, hooks: Sequence[str]) -> list[tuple[Any, str]]:
    addons = running.master.addons.chain
    return [(addon, hook) for addon in addons for hook in hooks if callable(getattr(addon, hook, None))]


# ---- the faults ----------------------------------------------------------------------------------------------------


class Odd(BaseException):
    """Nothing that `except Exception` sees."""


def raising(error: type[BaseException]) -> Callable[[Hook], Hook]:
    def make(original: Hook) -> Hook:
        def hook(data: Any) -> None:
            raise error("a secret that no log may show")

        return hook

    return make


def raising_later(error: type[BaseException]) -> Callable[[Hook], Hook]:
    def make(original: Hook) -> Hook:
        async def hook(data: Any) -> None:
            await asyncio.sleep(0)
            raise error("a secret that no log may show")

        return hook

    return make


def raising_when_done(original: Hook) -> Hook:
    """The worst moment: the request is approved and signed, and then something fails."""

    async def hook(data: Any) -> None:
        result = original(data)
        if inspect.isawaitable(result):
            await result
        raise RuntimeError("too late")

    return hook


def hanging(original: Hook) -> Hook:
    async def hook(data: Any) -> None:
        await asyncio.Event().wait()

    return hook


def hanging_when_done(original: Hook) -> Hook:
    async def hook(data: Any) -> None:
        result = original(data)
        if inspect.isawaitable(result):
            await result
        await asyncio.Event().wait()

    return hook


FAULTS: dict[str, Callable[[Hook], Hook]] = {
    "Exception": raising(RuntimeError),
    "KeyError": raising(KeyError),
    "AssertionError": raising(AssertionError),
    "OptionsError": raising(exceptions.OptionsError),
    "AddonHalt": raising(exceptions.AddonHalt),
    "CancelledError": raising(asyncio.CancelledError),
    "TimeoutError": raising(TimeoutError),
    "BaseException": raising(Odd),
    "Exception, awaited": raising_later(RuntimeError),
    "CancelledError, awaited": raising_later(asyncio.CancelledError),
    "AddonHalt, awaited": raising_later(exceptions.AddonHalt),
    "BaseException, awaited": raising_later(Odd),
    "raised when all was done": raising_when_done,
    "hangs": hanging,
    "hangs when all was done": hanging_when_done,
}


# ---- the doors -----------------------------------------------------------------------------------------------------

BODY = b'{"model":"gpt-4o","messages":[{"role":"user","content":"hello"}]}'
JSON = ("Content-Type", "application/json")


def by_path(running: Running, key: str | None) -> Answer | None:
    """The answer through the gateway's door, None where the connection ended without one."""
    headers = [("Host", "gateway"), JSON, *([("X-API-Key", key)] if key else [])]
    with Wire(running.port, timeout=LONGEST) as wire:
        return _answer(lambda: wire.request("POST", "/transparent/openai/v1/chat/completions", headers, BODY))


def by_tunnel(running: Running, key: str | None) -> Answer | None:
    """The answer inside a tunnel, or to its CONNECT."""
    with Wire(running.port, timeout=LONGEST) as wire:
        opened = _answer(lambda: wire.connect("api.openai.com:443", key))
        if opened is None or opened.status != 200:
            return opened
        headers = [("Host", "api.openai.com"), JSON, ("Authorization", "Bearer sk-placeholder")]
        return _answer(
            lambda: wire.start_tls("api.openai.com", running.ca_file).request(
                "POST", "/v1/chat/completions", headers, BODY
            )
        )


DOORS = (by_path, by_tunnel)


def _answer(ask: Callable[[], Answer]) -> Answer | None:
    try:
        return ask()
    except TimeoutError:
        raise AssertionError("the client waits") from None
    except (EOFError, ssl.SSLError, ConnectionError):
        return None


def refused(answer: Answer | None) -> bool:
    """Refused by us, cut, or closed: whatever is no complete answer of the provider's."""
    return answer is None or not answer.complete or 400 <= answer.status < 600


def still_serves(running: Running) -> bool:
    return all(door(running, running.key).status == 200 for door in DOORS)


# ---- every addon, every hook ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", FAULTS)
def test_no_hook_that_fails_lets_a_request_leave(served: Running, emulators: Emulators, fault: str) -> None:
    wrong = []
    for addon, hook in pairs(served, BEFORE):
        emulators.clear()
        with Sabotage(served, addon, hook, FAULTS[fault]) as sabotage:
            answers = [door(served, served.key) for door in DOORS if _meets(door, hook)]
        if not (sabotage.fired and all(map(refused, answers)) and emulators.requests() == ()):
            wrong.append((type(addon).__name__, hook, sabotage.fired, answers, len(emulators.requests())))
    assert wrong == []
    assert still_serves(served)


def _meets(door: Callable[..., object], hook: str) -> bool:
    return door is by_tunnel or hook not in BEFORE[2:7]


@pytest.mark.parametrize("fault", FAULTS)
def test_no_hook_that_fails_on_an_answer_passes_it_on(served: Running, emulators: Emulators, fault: str) -> None:
    wrong = []
    for addon, hook in pairs(served, ANSWERING):
        with Sabotage(served, addon, hook, FAULTS[fault]) as sabotage:
            answers = [door(served, served.key) for door in DOORS]
        if not (sabotage.fired and all(map(refused, answers))):
            wrong.append((type(addon).__name__, hook, sabotage.fired, answers))
    assert wrong == []
    assert still_serves(served)


@pytest.mark.parametrize("fault", FAULTS)
def test_no_hook_that_fails_on_a_refused_credential_passes_that_on(
    served: Running, emulators: Emulators, fault: str
) -> None:
    """Nor is the request sent again by it; and the client never reads that its own key is wrong."""
    wrong = []
    for addon, hook in pairs(served, RENEWING):
        emulators.clear()
        emulators.behave("api.openai.com", Behaviour(status=401), times=None)
        with Sabotage(served, addon, hook, FAULTS[fault]) as sabotage:
            answers = [door(served, served.key) for door in DOORS]
        told = all(answer is None or answer.status >= 500 for answer in answers)
        if not (sabotage.fired and told and len(emulators.requests()) == len(DOORS)):
            wrong.append((type(addon).__name__, hook, sabotage.fired, answers, len(emulators.requests())))
    emulators.clear()
    assert wrong == []
    assert still_serves(served)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_hook_that_fails_afterwards_harms_nobody(served: Running, emulators: Emulators, fault: str) -> None:
    for addon, hook in pairs(served, AFTERWARDS):
        with Sabotage(served, addon, hook, FAULTS[fault]) as sabotage:
            assert all(door(served, served.key).status == 200 for door in DOORS), (addon, hook)
            ends = time.monotonic() + LONGEST
            while not sabotage.fired and time.monotonic() < ends:
                time.sleep(0.005)
            assert sabotage.fired, (addon, hook)
    assert still_serves(served)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_hook_that_fails_on_a_failure_still_answers(served: Running, emulators: Emulators, fault: str) -> None:
    triggers: dict[str, Callable[[], object]] = {
        "error": lambda: _broken_provider(served, emulators),
        "http_connect_error": lambda: _refused_tunnel(served),
        "tls_failed_client": lambda: _broken_hello(served),
    }
    for addon, hook in pairs(served, tuple(triggers)):
        with Sabotage(served, addon, hook, FAULTS[fault]) as sabotage:
            triggers[hook]()
            assert sabotage.fired, (addon, hook)
    emulators.clear()
    assert still_serves(served)


def _broken_provider(running: Running, emulators: Emulators) -> None:
    emulators.behave("api.openai.com", Behaviour(raw=b"no HTTP at all\r\n\r\n"))
    answer = by_path(running, running.key)
    assert answer is None or answer.status == 502


def _refused_tunnel(running: Running) -> None:
    with Wire(running.port, timeout=LONGEST) as wire:
        answer = _answer(lambda: wire.connect("elsewhere.example:443", running.key))
        assert answer is None or answer.status == 403


def _broken_hello(running: Running) -> None:
    with Wire(running.port, timeout=LONGEST) as wire:
        assert wire.connect("api.openai.com:443", running.key).status == 200
        wire.send(bytes.fromhex("160301000401000000") + b"\0" * 64)
        assert wire.ended()


# ---- each barrier alone --------------------------------------------------------------------------------------------


@pytest.fixture
def swallowing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The manager as mitmproxy's own is: a hook that fails is logged, and the flow goes on."""
    monkeypatch.setattr(FailClosed, "_stop", lambda self, name, addon, data, error: None)


@pytest.mark.parametrize("fault", ["Exception", "Exception, awaited", "KeyError", "TimeoutError"])
def test_the_guard_alone_stops_a_request(served: Running, emulators: Emulators, swallowing: None, fault: str) -> None:
    """Without the manager: the guard round each hook of the chain turns what its body raises into a refusal."""

    def guarded(original: Hook) -> Hook:
        body = FAULTS[fault](original)
        addon: Any = getattr(original, "__self__", None)
        return lambda flow: stage(RequestContext)(lambda self, flow, exchange: body(flow))(addon, flow)

    wrong = []
    for addon, hook in pairs(served, ("http_connect", "requestheaders", "request")):
        if not hasattr(getattr(addon, hook), "__wrapped__"):
            continue
        emulators.clear()
        with Sabotage(served, addon, hook, guarded) as sabotage:
            answers = [door(served, served.key) for door in DOORS if _meets(door, hook)]
        if not (sabotage.fired and all(map(refused, answers)) and emulators.requests() == ()):
            wrong.append((type(addon).__name__, hook, answers))
    assert wrong == []


def test_without_both_no_hook_that_is_skipped_opens_the_door(
    served: Running, emulators: Emulators, swallowing: None
) -> None:
    """Neither guard nor manager, and one hook after the other does nothing: who has no key still gets nothing."""
    wrong = []
    for addon, hook in pairs(served, BEFORE):
        with Sabotage(served, addon, hook, lambda original: nothing):
            answers = [_patient(door, served) for door in DOORS]
        if not all(map(refused, answers)) or emulators.requests() != ():
            wrong.append((type(addon).__name__, hook, answers))
    assert wrong == []


def _patient(door: Callable[[Running, str | None], Answer | None], running: Running) -> Answer | None:
    """A client left waiting is the lesser evil here: stock layers hang where nobody says what comes next."""
    try:
        return door(running, None)
    except AssertionError:
        return None


@pytest.mark.parametrize(("addon", "hook"), [("inject", "request"), ("route", "request"), ("gate", "request")])
def test_a_stage_that_is_skipped_sends_nothing_even_for_who_has_a_key(
    served: Running, emulators: Emulators, addon: str, hook: str
) -> None:
    """The last word asks for the mark that the whole chain leaves, and the dial for the last word's."""
    with Sabotage(served, served.master.addons.get(addon), hook, lambda original: nothing) as sabotage:
        answers = [door(served, served.key) for door in DOORS]
    assert sabotage.fired
    assert all(map(refused, answers))
    assert emulators.requests() == ()


# ---- layers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "state", ["state_wait_for_request_headers", "state_consume_request_body", "make_server_connection"]
)
def test_a_layer_that_crashes_closes_the_connection(
    served: Running, emulators: Emulators, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    def crash(*_: object) -> None:
        raise RuntimeError("a defect")

    with monkeypatch.context() as patched:
        patched.setattr(GatewayStream, state, crash)
        for door in DOORS:
            assert refused(door(served, served.key))
    assert emulators.requests() == ()
    assert still_serves(served)


def test_a_layer_that_crashes_on_an_answer_closes_the_connection(
    served: Running, emulators: Emulators, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object) -> None:
        raise RuntimeError("a defect")

    with monkeypatch.context() as patched:
        patched.setattr(GatewayStream, "state_wait_for_response_headers", crash)
        for door in DOORS:
            assert refused(door(served, served.key))
    assert still_serves(served)


# ---- the start -----------------------------------------------------------------------------------------------------


class Broken:
    """An addon whose hook of the start is given by the test."""

    name = "broken"


@pytest.mark.parametrize("hook", ["load", "configure", "running"])
@pytest.mark.parametrize("error", [RuntimeError, exceptions.OptionsError, exceptions.AddonHalt, asyncio.CancelledError])
def test_a_hook_of_the_start_that_fails_keeps_the_server_from_starting(
    tmp_path: Any, emulators: Emulators, hook: str, error: type[BaseException]
) -> None:
    broken = Broken()

    def fail(*_: object) -> None:
        raise error("a defect")

    setattr(broken, hook, fail)
    with pytest.raises(error):
        run(tmp_path, emulators, chain=lambda gateway, exchanges: [*whole_chain(gateway, exchanges), broken])


def test_a_hook_of_the_start_that_hangs_keeps_the_server_from_starting(tmp_path: Any, emulators: Emulators) -> None:
    broken = Broken()
    vars(broken)["running"] = asyncio.Event().wait
    with pytest.raises(TimeoutError):
        run(tmp_path, emulators, chain=lambda gateway, exchanges: [*whole_chain(gateway, exchanges), broken])


def test_every_hook_that_can_stop_a_request_is_tried() -> None:
    """A hook that mitmproxy adds, or that we make, is put into a list above, or named here with a reason."""
    elsewhere = {
        *("load", "configure", "running", "done"),  # the start and the end
        *("update", "intercept", "resume"),  # views
        *(
            hook for hook in all_hooks if hook.startswith(("tcp_", "udp_", "dns_", "quic_", "websocket_"))
        ),  # not carried
        *("socks5_auth", "http_connect_upstream"),  # modes that are not served
        "socket_closed",  # the end of a WebSocket, after which there is nothing left to stop
        "server_changed",
        "add_log",
    }
    known = {*BEFORE, *ANSWERING, *RENEWING, *AFTERWARDS, *UNHAPPY}
    assert set(all_hooks) - elsewhere - known == set()
