"""The text of placeholder tokens: what SDKs read in it, and every way of making one without the key."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from dataclasses import replace
from typing import Any

import pytest

from llmauth.authenticators.tokens import FORM, LIFETIME, LONGEST, ByPlaceholder, Tokens
from llmauth.clock import ManualClock
from llmauth.context import Identity
from llmauth.errors import Unauthenticated
from llmauth.secrets import Secret

KEY = Secret("07" * 32)
ALICE = Identity(user="alice", method="api_key", key_id="abcdefghij", key_name="ci", groups=("team", "all"))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def tokens(clock: ManualClock) -> Tokens:
    return Tokens(KEY, clock)


def decoded(part: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def signed(header: object, claims: object, key: bytes, algorithm: str = "sha256") -> str:
    body = f"{encoded(header)}.{encoded(claims)}"
    digest = hmac.digest(key, body.encode(), algorithm)
    return f"{body}.{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"


def reason(tokens: Tokens, text: str) -> str:
    with pytest.raises(Unauthenticated) as caught:
        tokens.read(text)
    assert text not in f"{caught.value} {caught.value.detail}"
    return caught.value.reason


def test_what_is_issued_is_read(tokens: Tokens, clock: ManualClock) -> None:
    issued = tokens.issue(ALICE)
    assert tokens.read(issued.text) == (ALICE, clock.wall() + LIFETIME)
    assert (issued.expires_at, issued.life) == (clock.wall() + LIFETIME, LIFETIME)
    assert issued.text not in repr(issued)


def test_sdks_see_a_jwt(tokens: Tokens, clock: ManualClock) -> None:
    header, claims, signature = tokens.issue(ALICE).text.split(".")
    assert decoded(header) == {"alg": "HS256", "typ": "JWT", "kid": "llmauth-placeholder"}
    said = decoded(claims)
    assert (said["iss"], said["sub"], said["iat"]) == ("llmauth", "alice", clock.wall())
    assert said["exp"] == clock.wall() + LIFETIME
    assert len(signature) == 43


def test_its_signature_is_that_of_hs256(tokens: Tokens) -> None:
    """RFC 7515, 3.3, checked by hand: another implementation would agree."""
    body, _, signature = tokens.issue(ALICE).text.rpartition(".")
    wanted = hmac.new(bytes.fromhex(KEY.reveal()), body.encode(), hashlib.sha256).digest()
    assert base64.urlsafe_b64encode(wanted).decode().rstrip("=") == signature


@pytest.mark.parametrize("user", ["a~~~?>>\x7f", "~>?" * 20, "ünï😀\udcff", "a\nb"])
def test_the_claims_hold_no_letter_of_the_url_alphabet(tokens: Tokens, user: str) -> None:
    """ibm-watsonx-ai decodes `-` and `_` in a token as each other."""
    text = tokens.issue(replace(ALICE, user=user)).text
    assert re.fullmatch(r"[A-Za-z0-9]+", text.split(".")[1])
    assert tokens.read(text)[0].user == user


def test_it_ends_after_an_hour(tokens: Tokens, clock: ManualClock) -> None:
    text = tokens.issue(ALICE).text
    clock.advance(LIFETIME - 1)
    assert tokens.read(text)[0] == ALICE
    clock.advance(1)
    assert reason(tokens, text) == "expired"


def test_it_ends_with_the_identity(tokens: Tokens, clock: ManualClock) -> None:
    issued = tokens.issue(replace(ALICE, expires_at=clock.wall() + 90.5))
    assert issued.life == 90
    clock.advance(90)
    assert reason(tokens, issued.text) == "expired"


def test_a_token_for_a_token_does_not_outlive_it(tokens: Tokens, clock: ManualClock) -> None:
    ends = clock.wall() + 60
    proved = ByPlaceholder(user="alice", method="placeholder", key_id="abcdefghij", expires_at=ends, origin=ALICE)
    issued = tokens.issue(proved)
    assert issued.expires_at == ends
    assert tokens.read(issued.text) == (ALICE, ends)


def test_another_process_with_the_key_reads_it(tokens: Tokens, clock: ManualClock) -> None:
    assert Tokens(KEY, clock).read(tokens.issue(ALICE).text)[0] == ALICE


def test_another_key_does_not(tokens: Tokens, clock: ManualClock) -> None:
    assert reason(Tokens(Secret("08" * 32), clock), tokens.issue(ALICE).text) == "bad_key"


def test_no_byte_of_it_may_change(tokens: Tokens) -> None:
    text = tokens.issue(ALICE).text
    for position in range(len(FORM), len(text)):
        if text[position] != ".":
            changed = text[:position] + ("A" if text[position] != "A" else "B") + text[position + 1 :]
            assert reason(tokens, changed) == "bad_key", position


def test_it_may_not_be_cut_or_lengthened(tokens: Tokens) -> None:
    text = tokens.issue(ALICE).text
    for length in range(len(FORM), len(text)):
        assert reason(tokens, text[:length]) in ("bad_key", "malformed"), length
    for more in ("A", "=", "==", ".", " ", "\n", ".A", "ä", "A" * LONGEST):
        assert reason(tokens, text + more) in ("bad_key", "malformed"), more


def test_a_token_chooses_no_algorithm(tokens: Tokens, clock: ManualClock) -> None:
    """Forgeries that a library which obeys the header has fallen for."""
    key = bytes.fromhex(KEY.reveal())
    claims = decoded(tokens.issue(ALICE).text.split(".")[1])
    ours = {"alg": "HS256", "typ": "JWT", "kid": "llmauth-placeholder"}
    for header in (
        {**ours, "alg": "none"},
        {**ours, "alg": "None"},
        {**ours, "alg": "HS512"},
        {**ours, "alg": "RS256"},
        {"alg": "HS256", "typ": "JWT"},
        {**ours, "jwk": {"kty": "oct", "k": "AA"}},
        {"typ": "JWT", "alg": "HS256", "kid": "llmauth-placeholder"},
    ):
        assert reason(tokens, signed(header, claims, key)) == "malformed", header
        assert reason(tokens, f"{encoded(header)}.{encoded(claims)}.") == "malformed", header
    assert reason(tokens, f"{FORM}{encoded(claims)}.") == "bad_key"
    assert reason(tokens, signed(ours, claims, key, "sha512")) in ("bad_key", "malformed")
    assert reason(tokens, signed(ours, claims, b"")) in ("bad_key", "malformed")


def resigned(claims: object) -> str:
    """Signed with our key, in our form: what another version of ours could have made."""
    body = FORM + encoded(claims)
    digest = hmac.digest(bytes.fromhex(KEY.reveal()), body.encode(), "sha256")
    return f"{body}.{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"


@pytest.mark.parametrize(
    "claims",
    [
        {},
        [],
        "text",
        None,
        {"exp": 9e9},
        {"identity": {"user": "alice", "method": "api_key"}},
        {"exp": "soon", "identity": {"user": "alice", "method": "api_key"}},
        {"exp": 9e9, "identity": {"user": "alice"}},
        {"exp": 9e9, "identity": {"user": "alice", "method": "api_key", "root": True}},
        {"exp": 9e9, "identity": ["alice"]},
    ],
)
def test_claims_of_another_form_are_refused(tokens: Tokens, claims: object) -> None:
    assert reason(tokens, resigned(claims)) == "malformed"


def test_the_key_is_not_shown(tokens: Tokens) -> None:
    assert KEY.reveal() not in repr(vars(tokens))
