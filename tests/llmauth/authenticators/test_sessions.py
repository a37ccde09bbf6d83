"""A4, A5, A6: what a login was exchanged for, who may have one, and what ends it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import bcrypt
import pytest

from llmauth.authenticators.base import Authenticator, AuthSurroundings, Presented, Slot
from llmauth.authenticators.basic import Basic, BasicOptions
from llmauth.authenticators.imported import ApiKeys
from llmauth.authenticators.keys import ApiKeyOptions
from llmauth.authenticators.sessions import Opened, Sessions
from llmauth.clock import ManualClock
from llmauth.context import Identity
from llmauth.errors import Forbidden, Unauthenticated, Unavailable
from llmauth.rules import Rules
from llmauth.storage.key_text import is_session, new_session
from llmauth.storage.keys import KeyStore
from tests.fixtures.methods import surroundings

HOUR, DURATION = 3600.0, 43_200.0
IMPORTED = "0123456789abcdef0123456789abcdef"
Make = Callable[..., Sessions]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "keys.db"


@pytest.fixture
def store(path: Path, clock: ManualClock) -> Iterator[KeyStore]:
    opened = KeyStore(path, clock)
    yield opened
    opened.close()


@pytest.fixture
def around(store: KeyStore, clock: ManualClock) -> AuthSurroundings:
    return surroundings(store, clock, environ={"API_KEY_TEAM": IMPORTED})


@pytest.fixture
def api_keys(around: AuthSurroundings) -> ApiKeys:
    made = ApiKeys(ApiKeyOptions(type="api_key"), around)
    follow(made)
    return made


@pytest.fixture
def make(around: AuthSurroundings, api_keys: ApiKeys) -> Make:
    """Sessions that follow the store only when asked to, by `follow`: no thread runs."""

    def build(*methods: Authenticator, **more: Any) -> Sessions:
        made = Sessions(around, DURATION, methods or [api_keys], **more)
        follow(made)
        return made

    return build


@pytest.fixture
def sessions(make: Make) -> Sessions:
    return make()


def follow(method: Any) -> None:
    method._feed.poll()


def alice(store: KeyStore, **more: Any) -> Identity:
    """Somebody with an issued key."""
    record = store.create("laptop", "alice", ["staff"], **more)[0]
    return Identity(
        user="alice",
        method="api_key",
        key_id=record.id,
        key_name="laptop",
        groups=("staff",),
        expires_at=record.expires,
        rules=record.rules,
    )


def shown(text: str, slot: Slot = Slot.SESSION) -> Presented:
    return Presented(slot=slot, value=text)


def judged(sessions: Sessions, opened: Opened) -> Identity:
    """As the router asks: memory first."""
    presented = shown(opened.token.reveal())
    assert sessions.recognises(presented)
    return sessions.recall(presented) or sessions.authenticate(presented)


def refused(sessions: Sessions, opened: Opened) -> str:
    with pytest.raises(Unauthenticated) as error:
        judged(sessions, opened)
    return error.value.reason


def test_it_stands_for_who_opened_it(sessions: Sessions, store: KeyStore, clock: ManualClock) -> None:
    who = replace(alice(store, rules=Rules(rpm=7)), second_factor=True)
    opened = sessions.open(who)
    assert (opened.expires_in, is_session(opened.token.reveal())) == (43_200, True)
    identity = judged(sessions, opened)
    assert (identity.user, identity.groups, identity.key_id, identity.key_name) == (
        "alice",
        ("staff",),
        who.key_id,
        "laptop",
    )
    assert (identity.method, identity.second_factor, identity.factor_due) == ("session", True, None)
    assert (identity.expires_at, identity.rules) == (clock.wall() + DURATION, Rules(rpm=7))
    assert identity.session_id not in (None, who.key_id)


def test_the_first_time_is_proved_and_then_remembered(sessions: Sessions, store: KeyStore) -> None:
    presented = shown(sessions.open(alice(store)).token.reveal())
    assert sessions.recall(presented) is None
    first = sessions.authenticate(presented)
    assert sessions.recall(presented) is first


def test_it_ends_by_itself_in_the_second_that_was_told(sessions: Sessions, store: KeyStore, clock: ManualClock) -> None:
    opened = sessions.open(alice(store))
    identity = judged(sessions, opened)
    clock.advance(opened.expires_in - 1)
    follow(sessions)
    assert judged(sessions, opened) == identity
    clock.advance(1)
    follow(sessions)
    assert refused(sessions, opened) == "expired"
    with pytest.raises(Unauthenticated, match="not valid"):
        sessions.current(identity)


def test_it_ends_with_the_end_of_its_key(sessions: Sessions, store: KeyStore, clock: ManualClock) -> None:
    opened = sessions.open(alice(store, expires_at=clock.wall() + HOUR))
    assert opened.expires_in == 3600
    clock.advance(HOUR)
    follow(sessions)
    assert refused(sessions, opened) == "expired"


@pytest.mark.parametrize("change", ["revoke", "rotate", "enrol"])
def test_it_ends_with_the_revocation_of_its_key(sessions: Sessions, store: KeyStore, change: str) -> None:
    """Also inside a tunnel that is open, which asks for `current`; and with a new second factor."""
    opened = sessions.open(alice(store))
    identity = judged(sessions, opened)
    getattr(store, change)("laptop")
    follow(sessions)
    assert refused(sessions, opened) == "revoked"
    with pytest.raises(Unauthenticated) as error:
        sessions.current(identity)
    assert error.value.reason == "revoked"


def test_logout_ends_it_at_once_and_no_other(sessions: Sessions, store: KeyStore) -> None:
    who = alice(store)
    one, other = sessions.open(who), sessions.open(who)
    sessions.close(judged(sessions, one))
    assert refused(sessions, one) == "revoked"
    assert judged(sessions, other).user == "alice"


def test_logout_is_for_sessions_alone(sessions: Sessions, store: KeyStore) -> None:
    with pytest.raises(Forbidden, match="Only a session"):
        sessions.close(alice(store))
    assert store.list()[0].revoked is None


@pytest.mark.parametrize("method", ["session", "placeholder", "sigv4", "none"])
def test_who_was_let_in_by_something_else_opens_none(sessions: Sessions, store: KeyStore, method: str) -> None:
    with pytest.raises(Forbidden, match=f"by the method '{method}'"):
        sessions.open(replace(alice(store), method=method))
    assert [one for one in store.list(with_sessions=True) if one.kind == "session"] == []


def test_a_key_that_ended_meanwhile_opens_none(sessions: Sessions, store: KeyStore) -> None:
    who = alice(store)
    store.revoke("laptop")
    with pytest.raises(Unauthenticated) as error:
        sessions.open(who)
    assert error.value.reason == "revoked"


def test_of_one_key_twenty_live_and_the_oldest_goes(sessions: Sessions, store: KeyStore, clock: ManualClock) -> None:
    who, opened = alice(store), []
    for _ in range(21):
        opened.append(sessions.open(who))
        clock.advance(0.5)
    follow(sessions)
    assert refused(sessions, opened[0]) == "revoked"
    assert judged(sessions, opened[1]).user == judged(sessions, opened[20]).user == "alice"


@pytest.mark.parametrize("slot", [slot for slot in Slot if slot is not Slot.QUERY_KEY])
def test_by_its_form_in_every_slot_but_a_query(sessions: Sessions, slot: Slot) -> None:
    assert sessions.recognises(shown(new_session()[1].reveal(), slot))
    assert not sessions.recognises(shown(new_session()[1].reveal(), Slot.QUERY_KEY))


def test_a_key_is_no_session_and_a_session_no_key(
    sessions: Sessions, api_keys: ApiKeys, store: KeyStore, make: Make
) -> None:
    key = store.create("other")[1].reveal()
    session = sessions.open(alice(store)).token.reveal()
    assert not sessions.recognises(shown(key))
    assert not api_keys.recognises(shown(session, Slot.API_KEY))
    assert not api_keys.recognises(shown(key, Slot.SESSION))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text[:-1],
        lambda text: text + "0",
        lambda text: text[:-1] + ("0" if text[-1] != "0" else "1"),
        lambda text: text + "\0",
        lambda text: text + "\udce9",
        lambda text: text.swapcase().replace("LLMAUTH", "llmauth"),
        lambda text: text + "x" * 20_000,
    ],
)
def test_a_spoilt_one_is_refused(sessions: Sessions, store: KeyStore, spoil: Callable[[str], str]) -> None:
    opened = sessions.open(alice(store))
    assert judged(sessions, opened).user == "alice"
    presented = shown(spoil(opened.token.reveal()))
    with pytest.raises(Unauthenticated):
        sessions.recall(presented) or sessions.authenticate(presented)


def test_one_that_nobody_opened_is_refused(sessions: Sessions) -> None:
    presented = shown(new_session()[1].reveal())
    assert sessions.recall(presented) is None
    with pytest.raises(Unauthenticated) as error:
        sessions.authenticate(presented)
    assert error.value.reason == "unknown_key"


def test_it_outlives_a_restart(sessions: Sessions, store: KeyStore, make: Make) -> None:
    opened = sessions.open(alice(store))
    assert judged(make(), opened).user == "alice"


def test_the_store_has_a_hash_of_it_and_nothing_shows_it(sessions: Sessions, store: KeyStore, path: Path) -> None:
    opened = sessions.open(alice(store))
    secret = opened.token.reveal().rpartition("_")[2]
    with closing(sqlite3.connect(path)) as connection:
        assert secret not in "\n".join(connection.iterdump())
    assert secret not in repr(opened) + str(opened)


# Of those who have no issued key


def token_identity(method: str = "oidc") -> Identity:
    """As the methods of tokens and certificates give it: with a name of the value in the place of a key's id."""
    arn = "arn:aws:sts::111122223333:assumed-role/AWSReservedSSO_LLM-Users_0123456789abcdef/b+o=b,@example.com"
    return Identity(
        user="bob",
        method=method,
        key_id="0f" * 16,
        key_name=arn,
        groups=("/staff/llm", "@all"),
        expires_at=ManualClock().wall() + 60,
    )


class _Oidc(ApiKeys):
    """Stands for a method of tokens that remembers none of those that were shown before the process began."""

    name = "oidc"

    def current(self, identity: Identity) -> Identity:
        raise AssertionError("a token that is over is not asked for again")


@pytest.fixture
def oidc(around: AuthSurroundings) -> _Oidc:
    return _Oidc(ApiKeyOptions(type="api_key"), around)


def test_a_token_that_lives_for_minutes_opens_one_for_its_whole_time(
    make: Make, oidc: _Oidc, clock: ManualClock
) -> None:
    sessions = make(oidc)
    opened = sessions.open(token_identity())
    assert opened.expires_in == 43_200
    clock.advance(HOUR)
    follow(sessions)
    identity = judged(sessions, opened)
    assert (identity.user, identity.groups) == ("bob", ("/staff/llm", "@all")), "as the method has proved them"
    assert (identity.key_id, identity.key_name, identity.second_factor) == (None, "bob", False)


def test_one_of_a_method_that_is_off_is_over(make: Make, oidc: _Oidc, api_keys: ApiKeys) -> None:
    opened = make(oidc).open(token_identity())
    assert judged(make(oidc), opened).user == "bob"
    assert refused(make(api_keys), opened) == "revoked"


def test_one_of_an_imported_key_ends_when_the_variable_is_gone(
    sessions: Sessions, api_keys: ApiKeys, store: KeyStore, clock: ManualClock, make: Make
) -> None:
    who = api_keys.recall(shown(IMPORTED, Slot.API_KEY))
    assert who is not None
    opened = sessions.open(who)
    assert (judged(sessions, opened).user, judged(sessions, opened).key_name) == ("team", "team")
    without = ApiKeys(ApiKeyOptions(type="api_key"), surroundings(store, clock))
    follow(without)
    assert refused(make(without), opened) == "revoked"


def line(user: str, password: str) -> str:
    return f"{user}:{bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()}\n"


@pytest.mark.parametrize("change", ["gone", "other password"])
def test_one_of_a_user_of_a_file_ends_with_the_password(
    make: Make, around: AuthSurroundings, tmp_path: Path, change: str
) -> None:
    users = tmp_path / "users.htpasswd"
    users.write_text(line("alice", "open sesame") + line("bob", "closed"))
    basic = Basic(BasicOptions(type="basic", htpasswd=users), around)
    basic.start()
    try:
        sessions = make(basic)
        opened = [
            sessions.open(basic.authenticate(Presented(slot=Slot.PROXY, user=user, value=password)))
            for user, password in (("alice", "open sesame"), ("bob", "closed"))
        ]
        assert [judged(sessions, one).user for one in opened] == ["alice", "bob"]
        users.write_text(line("bob", "closed") if change == "gone" else line("alice", "new") + line("bob", "closed"))
        again = Basic(BasicOptions(type="basic", htpasswd=users), around)
        again.start()
        again.stop()
        assert refused(make(again), opened[0]) == "revoked"
    finally:
        basic.stop()


# Where all must show a second factor


def test_one_that_was_opened_before_a_second_factor_was_required_is_of_no_use(
    sessions: Sessions, store: KeyStore, make: Make, oidc: _Oidc, api_keys: ApiKeys
) -> None:
    who = alice(store)
    plain, shown_one = sessions.open(who), sessions.open(replace(who, second_factor=True))
    by_token = make(oidc).open(token_identity())
    strict = make(api_keys, oidc, require_factor=True)
    assert judged(strict, plain).factor_due == "enrolment"
    assert judged(strict, shown_one).factor_due is None
    assert judged(strict, by_token).factor_due is None, "who came by a token has shown what its issuer wants to see"


@pytest.mark.parametrize("ask", ["recall", "current"])
def test_while_the_store_cannot_be_read_nobody_is_let_in_by_a_session(
    sessions: Sessions, store: KeyStore, clock: ManualClock, ask: str
) -> None:
    """F2: a revocation could not be seen, neither for a new request nor inside a tunnel that is open."""
    opened = sessions.open(alice(store))
    identity = judged(sessions, opened)
    clock.advance(1.5)  # and nobody followed the store
    with pytest.raises(Unavailable):
        sessions.recall(shown(opened.token.reveal())) if ask == "recall" else sessions.current(identity)
