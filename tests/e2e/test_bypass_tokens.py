"""A7: hundreds of forged and confused tokens in every slot of a request, over sockets: not one reaches a provider.

Each request comes from an address of its own on loopback: one that has had its share of wrong values is told 429, and
nothing would be learned of what it sent.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from llmauth.authenticators.compact import issuer_of
from llmauth.demo.emulators import Emulators
from tests.emulators.issuer import AUDIENCE, HOST, Issuer
from tests.emulators.load_balancer import ARN, REGION, LoadBalancerKeys
from tests.fixtures.alb_forgeries import alb_forgeries
from tests.fixtures.forgeries import EC, ENC, RSA, Forgery, forgeries, prepare
from tests.fixtures.raw import Wire, basic
from tests.fixtures.serving import Serving, start

PATH = "/transparent/openai/v1/models"
PROVIDER, OURS = "api.openai.com", "llm.internal"
LOAD_BALANCER, STRANGERS = "127.9", "127.8"
ALB_FIELD = "X-Amzn-Oidc-Data"
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")

Head = Callable[[str], list[str]]


@dataclass(frozen=True)
class House:
    """A gateway that takes tokens of one issuer and of one load balancer, and both of them."""

    gateway: Serving
    issuer: Issuer
    keys: LoadBalancerKeys
    tokens: Sequence[Forgery]
    fields: Sequence[Forgery]
    _hosts: Iterator[int] = field(default_factory=lambda: count(1))

    def status(self, lines: Sequence[str], *, block: str = STRANGERS, body: str = "") -> int:
        """What a head is answered with, on a connection from an address that nobody had before."""
        host = next(self._hosts)
        source = f"{block}.{host // 250}.{host % 250 + 1}"
        with socket.create_connection(("127.0.0.1", self.gateway.port), 5, source_address=(source, 0)) as wire:
            wire.sendall("\r\n".join([*lines, "", body]).encode("utf-8", "surrogateescape"))
            return _status(wire)


def _status(wire: socket.socket) -> int:
    answer = b""
    with contextlib.suppress(ConnectionError):
        while (found := _STATUS.match(answer)) is None and (more := wire.recv(65_536)):
            answer += more
        return int(found[1]) if found else 0
    return 0


@pytest.fixture(scope="module")
def own_house(tmp_path_factory: pytest.TempPathFactory, shared_emulators: Emulators) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("bypass")
    with Issuer() as issuer, LoadBalancerKeys(tls=()) as keys:
        prepare(issuer)
        gateway = start(folder, shared_emulators, **_sections(folder, shared_emulators, issuer, keys), level="info")
        try:
            house = House(gateway, issuer, keys, tuple(forgeries(issuer)), tuple(alb_forgeries(keys)))
            _wait_for_keys(house)
            yield house
        finally:
            gateway.stop()


def _sections(folder: Path, emulators: Emulators, issuer: Issuer, keys: LoadBalancerKeys) -> dict[str, Any]:
    ca_file = str(issuer.write_ca(folder))
    oidc = {"type": "oidc", "issuer": issuer.issuer, "audience": [AUDIENCE], "ca_file": ca_file}
    alb = {"type": "alb", "region": REGION, "signer": ARN, "trusted_peers": [f"{LOAD_BALANCER}.0.0/16"]}
    resolve = {**emulators.resolve, HOST: f"127.0.0.1:{issuer.port}"}
    return {
        "server": {"gateway_hosts": [OURS]},
        "auth": {"methods": ["api_key", oidc, {**alb, "key_url": keys.url}]},
        "upstream": {"resolve": resolve},
    }


def _wait_for_keys(house: House) -> None:
    ends = time.monotonic() + 10
    while house.status(bearer(house.issuer.token(RSA))) != 200:
        assert time.monotonic() < ends, "the keys of the issuer did not come"
        time.sleep(0.05)


@pytest.fixture
def house(own_house: House, emulators: Emulators) -> House:
    return own_house


def get(*fields: str, target: str = PATH) -> list[str]:
    return [f"GET {target} HTTP/1.1", "Host: gateway", *fields]


def connect(*fields: str) -> list[str]:
    return [f"CONNECT {PROVIDER}:443 HTTP/1.1", f"Host: {PROVIDER}:443", *fields]


def bearer(token: str) -> list[str]:
    return get(f"Authorization: Bearer {token}")


def upgrade(token: str) -> list[str]:
    key = base64.b64encode(b"sixteen octets!!").decode()
    fields = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}")
    offered = f"Sec-WebSocket-Protocol: realtime, openai-insecure-api-key.{token}"
    return get(*fields, offered, target="/transparent/openai/v1/realtime?model=gpt-realtime")


def absolute(token: str) -> list[str]:
    return [f"GET http://{OURS}{PATH} HTTP/1.1", f"Host: {OURS}", f"Proxy-Authorization: Bearer {token}"]


def password(token: str) -> str:
    return base64.b64encode(f"alice:{token}".encode("utf-8", "surrogateescape")).decode()


# Each place, and every how many of the tokens it is tried with: all of them where a token is believed when it is right.
SLOTS: dict[str, tuple[Head, int]] = {
    "Authorization: Bearer": (bearer, 1),
    "X-API-Key": (lambda token: get(f"X-API-Key: {token}"), 1),
    "Proxy-Authorization: Basic, at CONNECT": (
        lambda token: connect(f"Proxy-Authorization: Basic {password(token)}"),
        1,
    ),
    "Proxy-Authorization: Bearer, at CONNECT": (lambda token: connect(f"Proxy-Authorization: Bearer {token}"), 3),
    "Proxy-Authorization, absolute form": (absolute, 3),
    "Authorization: bEARER": (lambda token: get(f"Authorization: bEARER {token}"), 3),
    "Authorization: Basic": (lambda token: get(f"Authorization: Basic {password(token)}"), 3),
    "Authorization without a scheme": (lambda token: get(f"Authorization: {token}"), 3),
    "api-key": (lambda token: get(f"api-key: {token}"), 3),
    "X-Goog-Api-Key": (lambda token: get(f"X-Goog-Api-Key: {token}"), 3),
    "X-Session-Token": (lambda token: get(f"X-Session-Token: {token}"), 3),
    "Sec-WebSocket-Protocol": (upgrade, 3),
    "?key=": (lambda token: get(target=f"{PATH}?key={quote(token, safe='', errors='surrogateescape')}"), 3),
    "a cookie": (lambda token: get(f"Cookie: session={token}"), 5),
    "X-Amzn-Oidc-Accesstoken": (lambda token: get(f"X-Amzn-Oidc-Accesstoken: {token}"), 5),
    "X-Amzn-Oidc-Data of a stranger": (lambda token: get(f"{ALB_FIELD}: {token}"), 5),
}
NEVER_TAKEN = ("X-Session-Token", "?key=", "a cookie", "X-Amzn-Oidc-Accesstoken", "X-Amzn-Oidc-Data of a stranger")


def wrong(statuses: dict[str, int]) -> dict[str, int]:
    """Those that were not refused as what they are: 401, at a proxy's door 407, 400 for what is no head."""
    return {name: status for name, status in statuses.items() if status not in (400, 401, 407)}


def trimmed(token: str) -> bool:
    """Whether a field with it is the same field without the blanks round it, and so no forgery."""
    return token != token.strip(" \t")


@pytest.mark.parametrize("slot", SLOTS)
def test_no_forged_token_is_taken(house: House, emulators: Emulators, slot: str) -> None:
    head, step = SLOTS[slot]
    # Of a list of subprotocols the first is the key, and the second is another protocol.
    listed = slot == "Sec-WebSocket-Protocol"
    tokens = [(name, token) for name, token in house.tokens if not trimmed(token) and not (listed and ", " in token)]
    assert len({token for _, token in tokens}) > 500
    offset = list(SLOTS).index(slot) % step
    assert wrong({name: house.status(head(token)) for name, token in tokens[offset::step]}) == {}
    assert emulators.connections == ()
    good = house.status(head(house.issuer.token(RSA)))
    assert good in ((401,) if slot in NEVER_TAKEN else (101, 200)), "the place where a right one is taken, or is not"


@pytest.mark.parametrize("slot", [name for name, (_, step) in SLOTS.items() if step < 5])
def test_what_a_load_balancer_signed_is_no_token_of_a_client(house: House, emulators: Emulators, slot: str) -> None:
    head, _ = SLOTS[slot]
    assert wrong({name: house.status(head(token)) for name, token in house.fields[::20]}) == {}
    assert house.status(head(house.keys.field())) in (400, 401, 407)
    assert emulators.connections == ()


def test_no_forged_field_of_a_load_balancer_is_taken(house: House, emulators: Emulators) -> None:
    """From its own subnet, where anybody may stand whose requests it passes on without a login."""
    assert len({value for _, value in house.fields}) > 200
    every = [*house.fields, *(forged for forged in house.tokens[::2] if not trimmed(forged[1]))]
    statuses = {name: house.status(get(f"{ALB_FIELD}: {value}"), block=LOAD_BALANCER) for name, value in every}
    assert wrong(statuses) == {}
    assert emulators.connections == ()
    right = get(f"{ALB_FIELD}: {house.keys.field()}")
    assert house.status(get(f"{ALB_FIELD}: {house.issuer.token(RSA)}"), block=LOAD_BALANCER) == 401
    assert house.status([*right, f"{ALB_FIELD}: {house.keys.field()}"], block=LOAD_BALANCER) in (400, 401)
    assert house.status(right, block=STRANGERS) == 401
    assert house.status(connect(*right[2:]), block=LOAD_BALANCER) == 200, "opened, and nothing is proved by it"
    assert emulators.connections == ()
    assert house.status(right, block=LOAD_BALANCER) == 200


def test_few_are_asked_for_keys(house: House) -> None:
    """A7: at most one look in half a minute for keys unheard of, and ten for those of load balancers."""
    for number, (_, token) in enumerate(house.tokens[:60]):
        house.status(bearer(token))
        stray = house.keys.header(kid=f"{number:08x}-0000-4000-8000-000000000000")
        value = house.keys.field(stray)
        assert house.status(get(f"{ALB_FIELD}: {value}"), block=LOAD_BALANCER) in (401, 503)
    assert house.issuer.fetches() <= 3
    assert len(house.keys.calls) <= 12
    assert house.status(get(f"{ALB_FIELD}: {house.keys.field()}"), block=LOAD_BALANCER) == 200, "a key that is known"


def test_a_forged_token_is_not_made_good_by_what_stands_beside_it(house: House, emulators: Emulators) -> None:
    """A wrong credential decides, whatever else is right; one that is of nobody here is a placeholder beside a key."""
    good, key = house.issuer.token(RSA), house.gateway.key()
    ours = [(name, token) for name, token in house.tokens[::4] if issuer_of(token) == house.issuer.issuer]
    assert len(ours) > 50
    statuses = {}
    for name, token in ours:
        for beside in (good, key):
            statuses[f"{name}, behind"] = house.status(get(f"X-API-Key: {beside}", f"Authorization: Bearer {token}"))
            statuses[f"{name}, before"] = house.status(get(f"Authorization: Bearer {beside}", f"X-API-Key: {token}"))
        statuses[f"{name}, twice"] = house.status([*bearer(good), f"Authorization: Bearer {token}"])
    assert wrong(statuses) == {}
    assert emulators.connections == ()


def test_inside_a_tunnel_and_on_a_connection_that_was_good(house: House, emulators: Emulators) -> None:
    """What the tunnel or the request before proved does not make the next token right."""
    ours = [token for _, token in house.tokens[::25] if issuer_of(token) == house.issuer.issuer]
    assert len(ours) >= 10
    for token in ours:
        with Wire(house.gateway.port) as wire:
            assert wire.connect(f"{PROVIDER}:443", house.gateway.key()).status == 200
            wire.start_tls(PROVIDER, house.gateway.ca_file)
            host = ("Host", PROVIDER)
            assert wire.request("GET", "/v1/models", [host, ("Authorization", f"Bearer {token}")]).status == 401
        with Wire(house.gateway.port) as wire:
            right = [("Host", "gateway"), ("Authorization", f"Bearer {house.issuer.token(EC)}")]
            assert wire.request("GET", PATH, right).status == 200
            assert wire.request("GET", PATH, [right[0], ("Authorization", f"Bearer {token}")]).status == 401
    assert len(emulators.requests()) == len(ours)


def test_no_session_is_opened_for_a_forged_token(house: House) -> None:
    statuses = {}
    for name, token in house.tokens[::6]:
        if trimmed(token):
            continue
        lines = ["POST /auth/login HTTP/1.1", "Host: gateway", "Content-Type: application/json"]
        statuses[name] = house.status([*lines, f"Authorization: Bearer {token}", "Content-Length: 0"])
        body = json.dumps({"api_key": token})
        if len(body) < 4096:
            statuses[f"{name}, in the body"] = house.status([*lines, f"Content-Length: {len(body)}"], body=body)
    assert wrong(statuses) == {}


def test_a_proxy_that_is_shown_a_forged_one_says_so_itself(house: House) -> None:
    forged = house.issuer.token(ENC)
    with Wire(house.gateway.port) as wire:
        answer = wire.connect(f"{PROVIDER}:443", forged)
        assert (answer.status, forged in answer.body.decode()) == (407, False)
        # Other clients of a proxy may come by the same connection: it goes on.
        right = ("Proxy-Authorization", basic(house.issuer.token(RSA)))
        assert wire.request("CONNECT", f"{PROVIDER}:443", [("Host", PROVIDER), right]).status == 200
    assert forged not in house.gateway.log()
