"""A2, A3, A4, A8: many hundred ways round a key, each on a connection that was proved before, and no way leads on."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import bcrypt
import pytest

from llmauth.config.stores import open_store
from llmauth.demo.emulators import Emulators
from tests.fixtures import bypasses
from tests.fixtures.bypasses import BODY, CONVERSE, PATH, Attempt, Loot, head
from tests.fixtures.calls import eventually
from tests.fixtures.raw import Answer, Wire, basic, tunnel
from tests.fixtures.serving import Serving, provider_environment, start

OPENAI = "api.openai.com"
IMPORTED = "imported-0123456789-key_X"
# Refusals of the caller: nothing of ours went wrong, and nothing was asked of a provider.
REFUSED = {400, 401, 403, 404, 405, 407, 414, 421, 431}
SUITES: dict[str, Callable[[Loot], Iterator[Attempt]]] = {
    "keys": bypasses.of_keys,
    "places": bypasses.misplaced,
    "paths": bypasses.of_paths,
    "forms": bypasses.of_forms,
    "weaker methods": bypasses.of_weaker,
    "pairs": bypasses.of_pairs,
    "signatures": bypasses.of_signatures,
}


@dataclass(frozen=True, slots=True)
class House:
    """A gateway with every method that needs nobody outside, and what is right there."""

    gateway: Serving
    loot: Loot


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, shared_emulators: Emulators) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("bypasses")
    (folder / "users").write_text(f"carol:{bcrypt.hashpw(b'pass word', bcrypt.gensalt(4)).decode()}\n")
    methods = ["api_key", "sigv4", {"type": "basic", "htpasswd": "users"}]
    environ = {**provider_environment(shared_emulators), "API_KEY_IVY": IMPORTED}
    server = {"gateway_hosts": ["llm.internal"]}
    gateway = start(folder, shared_emulators, environ=environ, server=server, auth={"methods": methods})
    store = open_store(gateway.settings())
    _, access, secret = store.create_pair("pair", user="peter")
    store.close()
    loot = Loot(
        key=gateway.key(),
        other=gateway.key("other"),
        imported=IMPORTED,
        user="carol",
        password="pass word",
        pair=(access, secret.reveal()),
    )
    house = House(gateway, loot)
    eventually(lambda: _once(house, head("POST", CONVERSE, *bypasses.signed(loot.pair), body=BODY)) == 200)
    yield house
    gateway.stop()


def proved(house: House) -> Wire:
    """A connection on which the key was shown, and taken, a moment ago."""
    wire = Wire(house.gateway.port, timeout=5.0)
    assert _answer(wire, head("GET", "/auth/whoami", ("X-API-Key", house.loot.key))).status == 200
    return wire


def read(wire: Wire, data: bytes) -> Answer | None:
    """The answer, `None` where the connection ended without one."""
    try:
        return _answer(wire, data)
    except (EOFError, ConnectionError, ssl.SSLError):
        return None


def _once(house: House, data: bytes) -> int:
    with Wire(house.gateway.port) as wire:
        return _answer(wire, data).status


def _answer(wire: Wire, data: bytes) -> Answer:
    return wire.send(data).answer(head_only=data.startswith(b"HEAD "))


def refused(house: House, attempt: Attempt) -> bool:
    """Whether it is refused on a proved connection, and the next request there by nobody as well."""
    with Wire(house.gateway.port, timeout=5.0) if attempt.first else proved(house) as wire:
        answer = read(wire, attempt.data)
        after = read(wire, head("GET", PATH)) if answer is not None else None
    if answer is None:
        return True
    told = answer.body + str(answer.headers).encode()
    tells = any(secret.encode() in told for secret in (house.loot.key, IMPORTED, house.loot.pair[1]))
    return answer.status in REFUSED and not tells and (after is None or after.status in REFUSED)


def test_what_is_right_gets_through(house: House, emulators: Emulators) -> None:
    """Otherwise the others would prove nothing."""
    loot = house.loot
    good = [
        head("GET", PATH, ("X-API-Key", loot.key)),
        head("GET", PATH, ("X-API-Key", IMPORTED)),
        head("GET", PATH, ("Authorization", basic("pass word", "carol"))),
        head("POST", CONVERSE, *bypasses.signed(loot.pair), body=BODY),
        head("GET", bypasses.presigned(loot.pair)),
    ]
    for data in good:
        with proved(house) as wire:
            assert _answer(wire, data).status == 200, data
    assert len(emulators.requests()) == len(good)


@pytest.mark.parametrize("suite", SUITES)
def test_nothing_that_proves_nothing_gets_through(house: House, emulators: Emulators, suite: str) -> None:
    attempts = list(SUITES[suite](house.loot))
    through = [(each.name, each.data[:300]) for each in attempts if not refused(house, each)]
    assert through == []
    assert emulators.connections == ()
    assert emulators.requests() == ()


def test_these_are_many_and_each_another(house: House) -> None:
    every = {each.data for suite in SUITES.values() for each in suite(house.loot)}
    named = {(suite, each.name) for suite, made in SUITES.items() for each in made(house.loot)}
    assert len(every) >= 800
    assert len(every) > 0.95 * len(named)


def test_a_head_that_is_known_is_known_to_the_byte(house: House, emulators: Emulators) -> None:
    """A head that a connection repeats is not judged anew, which must not reach as far as the next best head."""
    right = head("GET", PATH, ("X-API-Key", house.loot.key), ("Authorization", "Bearer sk-placeholder"))
    start_of_key = right.index(house.loot.key.encode())
    for at in range(start_of_key, start_of_key + len(house.loot.key), 3):
        with Wire(house.gateway.port) as wire:
            assert [_answer(wire, right).status for _ in range(3)] == [200] * 3
            wrong = right[:at] + (b"x" if right[at : at + 1] != b"x" else b"y") + right[at + 1 :]
            answer = read(wire, wrong)
        assert answer is None or answer.status == 401
    assert len(emulators.requests()) % 3 == 0


def test_inside_a_tunnel_nothing_is_looser(house: House, emulators: Emulators) -> None:
    gateway, loot = house.gateway, house.loot
    mistyped = loot.key[:-1] + ("a" if loot.key[-1] != "a" else "b")
    fields = [
        (),
        (("Authorization", "Bearer sk-placeholder"),),
        (("X-API-Key", mistyped),),
        (("Authorization", f"Bearer {mistyped}"),),
        (("Authorization", basic("wrong", "carol")),),
        (("Authorization", basic("", "carol")),),
        (("Authorization", f"Bearer {IMPORTED[:-1]}"),),
        (("X-API-Key", loot.key), ("Authorization", f"Bearer {loot.other}")),
        (("Proxy-Authorization", basic(mistyped)),),
        (("X-Session-Token", loot.key),),
        tuple(bypasses.signed(loot.pair, target="/v1/models")),
    ]
    for each in fields:
        with tunnel(gateway.port, OPENAI, None, gateway.ca_file) as wire:
            answer = read(wire, head("GET", "/v1/models", *each, host=OPENAI))
            assert answer is not None
            assert answer.status in (401, 403, 407), each
    for each in fields[2:]:
        with tunnel(gateway.port, OPENAI, loot.other, gateway.ca_file) as wire:
            if each == fields[6]:  # a placeholder beside the tunnel's own key
                continue
            answer = read(wire, head("GET", "/v1/models", *each, host=OPENAI))
            assert answer is not None
            assert answer.status in (401, 403, 407), each
    assert emulators.requests() == ()


def test_nothing_of_it_stands_in_the_log(house: House, tmp_path: Path) -> None:
    log = house.gateway.log()
    for secret in (house.loot.key, house.loot.other, IMPORTED, "pass word", house.loot.pair[1]):
        assert secret not in log
