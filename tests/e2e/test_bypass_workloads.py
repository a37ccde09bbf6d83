"""S and A rules for workloads: hundreds of ways to seem to be one, over real sockets; none reaches a provider."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pytest

from llmauth.demo import sigv4
from llmauth.demo.emulators import Emulators
from tests.emulators.kubernetes_api import KubernetesApi
from tests.emulators.sts import Sts
from tests.fixtures.accounts import AUDIENCE, cluster, confused, forged
from tests.fixtures.aws_tokens import ACCOUNT, ALICE, SERVER_ID, hostile, token_for
from tests.fixtures.calls import CHAT, JSON, OPENAI
from tests.fixtures.peers import SIDECAR, From
from tests.fixtures.raw import Answer, basic
from tests.fixtures.serving import Serving, start
from tests.fixtures.workload_attacks import (
    APP,
    XFCC,
    Attempt,
    Field,
    bearer,
    names_in_headers,
    of_a_sidecar,
    rightly_signed,
    wrong_places,
)

GATE = "/transparent/openai"
MODELS, CHATS = "/v1/models", "/v1/chat/completions"
# 403 is for two credentials that disagree, 431 for a head that is too long; 429 would say that nothing was judged.
REFUSALS = {400, 401, 403, 407, 431}


@dataclass(frozen=True)
class House:
    """A gateway that knows every kind of workload, and whom it asks about them."""

    gateway: Serving
    sts: Sts
    api: KubernetesApi
    keys: sigv4.Keys

    def cluster_token(self) -> str:
        return self.api.token("team-a", "app", audiences=[AUDIENCE])


@pytest.fixture(scope="module")
def own_house(tmp_path_factory: pytest.TempPathFactory, shared_emulators: Emulators) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("workloads")
    with Sts({}) as sts, cluster(time.time, folder) as (api, pod):
        aws = {"type": "aws_iam", "server_id": SERVER_ID, "accounts": [ACCOUNT], "sts_endpoint": sts.url}
        pods = {"type": "service_account", "allowed": ["team-a/app", "team-b/*"], "api_server": api.url}
        pods |= {"ca_file": str(pod.folder / "ca.crt"), "token_file": str(pod.folder / "token")}
        mesh = {"trusted_peers": [f"{SIDECAR}/32"]}
        methods = ["api_key", aws, {**pods, "mesh": mesh}]
        gateway = start(folder, shared_emulators, auth={"methods": methods}, level="info")
        gateway.key()
        yield House(gateway, sts, api, sts.keys_for(ALICE))
        gateway.stop()


@pytest.fixture
def house(own_house: House, emulators: Emulators) -> Iterator[House]:
    """The upstream counts what reaches it; a request or so much as a connection fails the test."""
    yield own_house
    assert emulators.requests() == ()
    assert emulators.connections == ()


def sources() -> Iterator[str]:
    """An address for each attempt, so that none is refused for those before it."""
    return (f"127.{third}.{fourth}.9" for third in range(1, 250) for fourth in range(250))


def answered(wire: From, method: str, target: str, fields: list[Field], body: bytes = b"") -> Answer | None:
    try:
        return wire.request(method, target, fields, body)
    except (EOFError, ConnectionError):
        return None


def by_path(house: House, fields: list[Field], peer: str) -> list[int]:
    """After a call of an honest client on the same connection, and again for as long as it lives."""
    key = ("X-API-Key", house.gateway.key())
    statuses = []
    with From(peer, house.gateway.port) as wire:
        assert wire.request("GET", "/auth/whoami", [("Host", "gateway"), key]).status == 200
        for method, target, body in (("GET", MODELS, b""), ("POST", CHATS, CHAT)):
            kind = [JSON] if body else []
            answer = answered(wire, method, GATE + target, [("Host", "gateway"), *kind, *fields], body)
            statuses.append(answer.status if answer else 400)
            if answer is None or "close" in answer.values("connection"):
                break
    return statuses


def in_a_tunnel(house: House, fields: list[Field], peer: str) -> list[int]:
    with From(peer, house.gateway.port) as wire:
        assert wire.connect(f"{OPENAI}:443").status == 200
        wire.start_tls(OPENAI, house.gateway.ca_file)
        answer = answered(wire, "POST", CHATS, [("Host", OPENAI), JSON, *fields], CHAT)
    return [answer.status if answer else 400]


def as_proxy(house: House, fields: list[Field], peer: str) -> list[int]:
    """At CONNECT, and on a request in absolute form."""
    statuses = []
    for method, target in (("CONNECT", f"{OPENAI}:443"), ("GET", f"http://{OPENAI}{MODELS}")):
        with From(peer, house.gateway.port) as wire:
            answer = answered(wire, method, target, [("Host", OPENAI), *fields])
            statuses.append(answer.status if answer else 400)
    return statuses


def let_through(house: House, attempts: Iterable[Attempt], *, least: int, peer: str | None = None) -> list[object]:
    """The attempts that were not refused; every seventh comes through a tunnel as well."""
    seen: set[str] = set()
    wrong: list[object] = []
    places = sources()
    for number, (name, fields) in enumerate(attempts):
        seen.add(repr(fields))
        source = peer or next(places)
        statuses = by_path(house, fields, source)
        if number % 7 == 0:
            statuses += in_a_tunnel(house, fields, source)
        if not REFUSALS.issuperset(statuses):
            wrong.append((name, statuses))
    assert len(seen) >= least
    return wrong


def as_password(house: House, attempts: Iterable[tuple[str, str]]) -> list[object]:
    """The same for tokens, each as the proxy's password and as its bearer."""
    wrong: list[object] = []
    for (name, text), source in zip(attempts, sources(), strict=False):
        for value in (basic(text, "aws"), f"Bearer {text}"):
            statuses = as_proxy(house, [("Proxy-Authorization", value)], source)
            if not {400, 407, 431}.issuperset(statuses):
                wrong.append((name, statuses))
    return wrong


def printable(attempts: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Those that a line of a head can carry at all."""
    return [(name, text) for name, text in attempts if all(0x20 <= ord(one) < 0x100 for one in text)]


def test_presigned_requests_that_are_none_of_ours(house: House) -> None:
    attempts = printable(hostile())
    before = len(house.sts.calls)
    assert let_through(house, ((name, [bearer(text)]) for name, text in attempts), least=280) == []
    assert as_password(house, attempts[::6]) == []
    assert len(house.sts.calls) == before  # and none of them had us ask anybody


def test_rightly_signed_requests_for_other_ends(house: House) -> None:
    attempts = list(rightly_signed(house.keys))
    assert let_through(house, ((name, [bearer(text)]) for name, text in attempts), least=40) == []
    assert as_password(house, attempts) == []
    assert {call.method for call in house.sts.calls} <= {"GET"}
    assert {call.query["Action"] for call in house.sts.calls} <= {"GetCallerIdentity"}
    assert {call.path for call in house.sts.calls} <= {"/"}


def test_a_right_proof_in_a_wrong_place(house: House) -> None:
    assert let_through(house, wrong_places(house.keys), least=24) == []


def test_names_in_headers_are_nobody(house: House) -> None:
    """Spoofed identity headers are a 401, in every spelling."""
    attempts = list(names_in_headers())
    assert let_through(house, attempts, least=180) == []
    wrong = [name for name, fields in attempts[::5] if set(as_proxy(house, fields, "127.0.0.9")) - {200, 400, 407}]
    assert wrong == []


def test_a_sidecar_vouches_for_nobody_else(house: House) -> None:
    assert let_through(house, of_a_sidecar(), least=90, peer=SIDECAR) == []


def test_tokens_of_a_cluster_that_are_none_of_ours(house: House) -> None:
    right = house.cluster_token()
    with KubernetesApi(issuer=house.api.issuer) as other:
        attempts = printable([*forged(right, other), *confused(house.api, right)])
        assert let_through(house, ((name, [bearer(text)]) for name, text in attempts), least=130) == []
        assert as_password(house, attempts[::9]) == []
        assert other.calls == []


@pytest.mark.parametrize("peer", ["127.0.0.1", SIDECAR])
def test_two_right_identities_are_none(house: House, peer: str) -> None:
    pairs: list[list[Field]] = [
        [bearer(token_for(house.keys)), ("X-API-Key", house.gateway.key())],
        [bearer(token_for(house.keys)), ("X-API-Key", house.cluster_token())],
        [bearer(house.cluster_token()), ("api-key", house.api.token("team-b", "x", audiences=[AUDIENCE]))],
        [bearer(house.cluster_token()), bearer(house.cluster_token())],
        [bearer(token_for(house.keys)), ("x-goog-api-key", token_for(house.sts.keys_for(ALICE)))],
    ]
    if peer == SIDECAR:
        pairs += [[(XFCC, f"URI={APP}"), bearer(token_for(house.keys))]]
    for fields in pairs:
        assert set(by_path(house, fields, peer)) <= {400, 401, 403}


def test_those_who_are_meant_get_in(own_house: House, emulators: Emulators) -> None:
    """So that all the refusals above are about what was wrong."""
    fields: list[tuple[Field, str]] = [
        (bearer(token_for(own_house.keys)), "127.0.0.1"),
        (bearer(own_house.cluster_token()), "127.0.0.1"),
        ((XFCC, f"Hash=1,By=x;URI={APP}"), SIDECAR),
    ]
    for field, peer in fields:
        assert by_path(own_house, [field], peer) == [200, 200]
        assert own_house.gateway.process.poll() is None
    assert len(emulators.requests()) == 6
