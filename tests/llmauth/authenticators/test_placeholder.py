"""A5, A8: a placeholder token is worth what the key behind it is worth now, in the one slot where SDKs put it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from llmauth.authenticators.base import Presented, Slot
from llmauth.authenticators.keys import IssuedKeys
from llmauth.authenticators.placeholder import Placeholder
from llmauth.authenticators.tokens import LIFETIME, ByPlaceholder, Tokens
from llmauth.clock import ManualClock
from llmauth.context import Identity
from llmauth.errors import Unauthenticated
from llmauth.secrets import Secret
from llmauth.storage.keys import KeyStore
from tests.fixtures.methods import issued_keys

KEY = Secret("07" * 32)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def store(tmp_path: Path, clock: ManualClock) -> Iterator[KeyStore]:
    store = KeyStore(f"sqlite:///{tmp_path / 'keys.db'}", clock)
    yield store
    store.close()


@pytest.fixture
def keys(store: KeyStore, clock: ManualClock) -> Iterator[IssuedKeys]:
    store.create("ci", user="alice", expires_at=clock.wall() + 2 * LIFETIME)
    keys = issued_keys(store, clock)
    keys.start()
    yield keys
    keys.stop()


@pytest.fixture
def tokens(clock: ManualClock) -> Tokens:
    return Tokens(KEY, clock)


@pytest.fixture
def placeholder(tokens: Tokens, keys: IssuedKeys) -> Placeholder:
    return Placeholder(tokens, [keys])


@pytest.fixture
def alice(keys: IssuedKeys) -> Identity:
    return next(held.identity for held in keys._keys.values())


def bearer(text: str, slot: Slot = Slot.AUTHORIZATION) -> Presented:
    return Presented(slot=slot, value=text)


def test_it_stands_for_the_key(placeholder: Placeholder, tokens: Tokens, alice: Identity, clock: ManualClock) -> None:
    identity = placeholder.recall(bearer(tokens.issue(alice).text))
    assert (identity.user, identity.key_id, identity.key_name) == ("alice", alice.key_id, "ci")
    assert (identity.method, identity.expires_at) == ("placeholder", clock.wall() + LIFETIME)
    assert placeholder.current(identity) is identity
    assert placeholder.authenticate(bearer(tokens.issue(alice).text)) == identity


def test_it_is_known_by_its_form_alone(placeholder: Placeholder, tokens: Tokens, alice: Identity) -> None:
    text = tokens.issue(alice).text
    assert placeholder.recognises(bearer(text))
    assert placeholder.recognises(bearer(text[:80]))
    assert not placeholder.recognises(bearer(text, Slot.SESSION))
    for other in ("", "sk-placeholder", "llmauth_x", text[1:], "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.AAAA"):
        assert not placeholder.recognises(bearer(other))


@pytest.mark.parametrize("slot", [slot for slot in Slot if slot not in (Slot.AUTHORIZATION, Slot.FORM, Slot.SESSION)])
def test_elsewhere_it_is_wrong_and_no_placeholder(
    placeholder: Placeholder, tokens: Tokens, alice: Identity, slot: Slot
) -> None:
    presented = bearer(tokens.issue(alice).text, slot)
    assert placeholder.recognises(presented)
    with pytest.raises(Unauthenticated):
        placeholder.recall(presented)


def test_it_ends_with_the_key(
    placeholder: Placeholder, tokens: Tokens, keys: IssuedKeys, alice: Identity, store: KeyStore
) -> None:
    """A5."""
    text = tokens.issue(alice).text
    identity = placeholder.recall(bearer(text))
    store.revoke("ci")
    keys._feed.poll()
    for ask in (lambda: placeholder.recall(bearer(text)), lambda: placeholder.current(identity)):
        with pytest.raises(Unauthenticated) as caught:
            ask()
        assert caught.value.reason == "revoked"


def test_what_it_proved_ends_when_it_ends(
    placeholder: Placeholder, tokens: Tokens, alice: Identity, clock: ManualClock, keys: IssuedKeys
) -> None:
    """On a connection that stays open, the token is not looked at again: its end is the identity's."""
    identity = placeholder.recall(bearer(tokens.issue(alice).text))
    clock.advance(LIFETIME)
    keys._feed.poll()
    assert keys.current(alice) is alice
    with pytest.raises(Unauthenticated) as caught:
        placeholder.current(identity)
    assert caught.value.reason == "expired"


def test_whose_method_is_off_is_nobody(tokens: Tokens, alice: Identity) -> None:
    with pytest.raises(Unauthenticated) as caught:
        Placeholder(tokens, []).recall(bearer(tokens.issue(alice).text))
    assert caught.value.reason == "revoked"


@pytest.mark.parametrize("method", ["api_key", "placeholder", "none"])
def test_an_identity_of_another_method_is_none_of_ours(placeholder: Placeholder, method: str) -> None:
    with pytest.raises(Unauthenticated):
        placeholder.current(Identity(user="alice", method=method))


def test_a_token_cannot_stand_for_a_token(placeholder: Placeholder, tokens: Tokens, alice: Identity) -> None:
    """The origin is always what was proved first, so that a chain of them is no chain."""
    first = placeholder.recall(bearer(tokens.issue(alice).text))
    second = placeholder.recall(bearer(tokens.issue(first).text))
    assert isinstance(second, ByPlaceholder)
    assert second.origin == alice
