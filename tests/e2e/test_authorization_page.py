"""docs/AUTHORIZATION.md says what a caller is told: each row of its refusals, as it is answered; and every method."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bcrypt
import pytest

from llmauth.authenticators import METHODS
from llmauth.authenticators.throttle import BURST
from llmauth.demo.emulators import Emulators
from llmauth.storage.key_text import new_key
from tests.e2e.test_second_factor import MODELS, ask, code, enrolled
from tests.fixtures.raw import Answer, Wire, basic
from tests.fixtures.serving import Serving, provider_environment
from tests.sources import ROOT
from tests.test_docs import rows

PAGE = ROOT / "docs" / "AUTHORIZATION.md"
Refusals = dict[str, tuple[set[int], str]]


def wrong() -> str:
    return new_key()[1].reveal()


def connect(gateway: Serving, *fields: tuple[str, str]) -> Answer:
    with Wire(gateway.port, timeout=20) as wire:
        return wire.request("CONNECT", "example.org:443", [("Host", "example.org:443"), *fields])


def with_codes(gateway: Serving, count: int, last: bool = False) -> Answer:
    """A key of its own, and so many wrong codes; the `last` one is right."""
    key, enrolment = enrolled(gateway, f"page-{count}-{last}")
    right = {code(enrolment, step) for step in (-1, 0, 1)}
    texts = [text for text in map("{:06}".format, range(count + 3)) if text not in right][:count]
    texts += [code(enrolment)] if last else []
    answers = [ask(gateway, "GET", MODELS, ("X-API-Key", key), ("X-TOTP-Code", text)) for text in texts]
    return answers[-1] if answers else ask(gateway, "GET", MODELS, ("X-API-Key", key))


def flooded(gateway: Serving) -> Answer:
    """More wrong keys than an address may show."""
    with_known = gateway.key("page-known")
    assert ask(gateway, "GET", MODELS, ("X-API-Key", with_known)).status == 200
    answers = (ask(gateway, "GET", MODELS, ("X-API-Key", wrong())) for _ in range(int(BURST) * 3))
    answer = next(one for one in answers if one.status == 429)
    assert ask(gateway, "GET", MODELS, ("X-API-Key", with_known)).status == 200, "who is known passes"
    return answer


CASES: dict[str, Callable[[Serving], Answer]] = {
    "nothing was sent": lambda g: ask(g, "GET", MODELS),
    "nothing was sent to the proxy": connect,
    "wrong, expired or revoked": lambda g: ask(g, "GET", MODELS, ("X-API-Key", g.key()), ("api-key", wrong())),
    "wrong at the proxy": lambda g: connect(g, ("Proxy-Authorization", basic(wrong()))),
    "a placeholder alone": lambda g: ask(g, "GET", MODELS, ("Authorization", "Bearer sk-placeholder")),
    "a name and a password that are none": lambda g: ask(g, "GET", MODELS, ("Authorization", basic("nonsense"))),
    "two that differ": lambda g: ask(
        g, "GET", MODELS, ("X-API-Key", g.key()), ("Authorization", f"Bearer {g.key('page-other')}")
    ),
    "one header twice": lambda g: ask(g, "GET", MODELS, ("X-API-Key", g.key()), ("X-API-Key", g.key())),
    "no code": lambda g: with_codes(g, 0),
    "a wrong code": lambda g: with_codes(g, 1),
    "too many wrong codes": lambda g: with_codes(g, 5, last=True),
    "too many wrong credentials": flooded,
}


@pytest.fixture(scope="module")
def refusals() -> Refusals:
    return {case: ({*map(int, status.split(", "))}, sentence) for case, status, sentence in rows(PAGE, "Refusals")}


def test_each_row_is_tried(refusals: Refusals) -> None:
    assert list(refusals) == list(CASES)


@pytest.mark.parametrize("case", CASES)
def test_a_caller_is_told_what_the_page_says(
    serve: Callable[..., Serving], gateway: Serving, refusals: Refusals, case: str
) -> None:
    # What fills an address's bucket would meet every later test of the shared one.
    answer = CASES[case](serve() if case == "too many wrong credentials" else gateway)
    told: dict[str, Any] = json.loads(answer.body)
    statuses, sentence = refusals[case]
    assert told["error"]["message"] == sentence
    assert answer.status in statuses
    names = {name.lower() for name, _ in answer.headers}
    wanted = {401: "www-authenticate", 407: "proxy-authenticate", 429: "retry-after"}.get(answer.status)
    assert wanted is None or wanted in names


def test_what_is_typed_or_copied_works_in_the_proxys_url_and_by_path(
    serve: Callable[..., Serving], emulators: Emulators, tmp_path: Path
) -> None:
    """The rows of keys, imported keys, passwords and sessions; those of other methods have services to ask."""
    users = tmp_path / "users.htpasswd"
    users.write_text(f"ada:{bcrypt.hashpw(b'open sesame', bcrypt.gensalt(4)).decode()}\n")
    environ = {**provider_environment(emulators), "API_KEY_TEAM": "0123456789abcdef0123456789abcdef"}
    gateway = serve(auth={"methods": ["api_key", {"type": "basic", "htpasswd": str(users)}]}, environ=environ)
    login = ask(gateway, "POST", "/auth/login", ("X-API-Key", gateway.key()), body=b"")
    session = json.loads(login.body)["session_token"]
    for user, secret in (
        ("me", gateway.key()),
        ("me", environ["API_KEY_TEAM"]),
        ("ada", "open sesame"),
        ("me", session),
    ):
        proof = "Basic " + base64.b64encode(f"{user}:{secret}".encode()).decode()
        assert ask(gateway, "GET", MODELS, ("Authorization", proof)).status == 200, user
        with Wire(gateway.port) as wire:
            fields = [("Host", "api.openai.com:443"), ("Proxy-Authorization", proof)]
            assert wire.request("CONNECT", "api.openai.com:443", fields).status == 200, user
        spoilt = "Basic " + base64.b64encode(f"{user}:{secret}x".encode()).decode()
        assert ask(gateway, "GET", MODELS, ("Authorization", spoilt)).status == 401, user


def test_every_method_is_on_the_page() -> None:
    named = {match[1] for row in rows(PAGE, "Ways to prove it") if (match := re.match(r"`(\w+)`", row[0]))}
    assert named == {*METHODS, "session"}
