"""Users and passwords: who is recognised, what proves them, what locks them, and how a file changes them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import bcrypt
import pytest

from llmauth.authenticators import basic as module
from llmauth.authenticators import passwords
from llmauth.authenticators.base import Presented, Slot
from llmauth.authenticators.basic import REMEMBERED, STRANGERS_A_SECOND, Basic, BasicOptions
from llmauth.authenticators.tokens import FORM
from llmauth.clock import ManualClock
from llmauth.context import Identity
from llmauth.errors import Unauthenticated
from llmauth.storage.home import StateUnusable
from tests.fixtures.methods import surroundings

VARIABLE = "BASIC_AUTH_CREDENTIALS"
Make = Callable[..., Basic]


def line(user: str, password: str, cost: int = 4) -> str:
    return f"{user}:{bcrypt.hashpw(password.encode(), bcrypt.gensalt(cost)).decode()}\n"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def users(tmp_path: Path) -> Path:
    file = tmp_path / "users.htpasswd"
    file.write_text(line("alice", "open sesame") + line("bob", "x" * 72))
    return file


@pytest.fixture
def make(clock: ManualClock, users: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    monkeypatch.setattr(passwords, "_COST", 4)
    monkeypatch.setattr(module, "_NOBODY", replace(module._NOBODY, hashed="$2b$04$" + "." * 53))
    made: list[Basic] = []

    def build(file: Path | None = users, given: str = "") -> Basic:
        environ = {VARIABLE: given} if given else {}
        options = BasicOptions(type="basic", htpasswd=file)
        made.append(Basic(options, surroundings(cast(Any, None), clock, environ=environ)))
        made[-1].start()
        return made[-1]

    yield build
    for one in made:
        one.stop()


def shown(user: str, password: str, slot: Slot = Slot.AUTHORIZATION) -> Presented:
    return Presented(slot=slot, value=password, user=user)


def prove(basic: Basic, user: str, password: str) -> Identity:
    """As the router asks."""
    presented = shown(user, password)
    assert basic.recognises(presented)
    return basic.recall(presented) or basic.authenticate(presented)


def reason(basic: Basic, user: str, password: str) -> str:
    with pytest.raises(Unauthenticated) as raised:
        prove(basic, user, password)
    assert raised.value.message == "The credential is not valid."
    assert not password or password not in str(raised.value.detail)
    return raised.value.reason


def test_both_sources_prove_their_users(make: Make) -> None:
    basic = make(given="carol:c")
    for user, password in (("alice", "open sesame"), ("bob", "x" * 72), ("carol", "c")):
        assert prove(basic, user, password).user == user
        assert prove(basic, user, password).method == "basic"


def test_a_password_of_the_environment_may_be_long(make: Make) -> None:
    long = "long password " * 10
    basic = make(None, f"carol:{long.strip()},dave:b")
    assert prove(basic, "carol", long.strip()) == Identity(user="carol", method="basic")
    assert reason(basic, "carol", long.strip()[:72]) == "bad_key"
    assert prove(basic, "dave", "b").key_id is None


def test_what_was_proved_is_not_computed_again(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    basic = make()
    assert basic.recall(shown("alice", "open sesame")) is None
    proved = prove(basic, "alice", "open sesame")
    assert reason(basic, "alice", "wrong") == "bad_key"
    monkeypatch.setattr(bcrypt, "checkpw", None)
    assert basic.recall(shown("alice", "open sesame", Slot.PROXY)) == proved
    assert reason(basic, "alice", "wrong") == "bad_key"


@pytest.mark.parametrize(
    ("user", "password", "slot"),
    [
        ("bx", "bx", Slot.AUTHORIZATION),
        ("", "open sesame", Slot.AUTHORIZATION),
        ("Alice", "open sesame", Slot.AUTHORIZATION),
        ("alice ", "open sesame", Slot.AUTHORIZATION),
        ("alice\0", "open sesame", Slot.AUTHORIZATION),
        ("al\u0131ce", "open sesame", Slot.AUTHORIZATION),
        ("x-access-token", "ghp_x", Slot.PROXY),
        ("alice", "llmauth_abcdefghij_x", Slot.PROXY),
        ("alice", f"{FORM}e30.x", Slot.AUTHORIZATION),
        ("alice", "open sesame", Slot.API_KEY),
        ("alice", "open sesame", Slot.SESSION),
        ("alice", "open sesame", Slot.FORM),
    ],
)
def test_what_is_none_of_ours(make: Make, user: str, password: str, slot: Slot) -> None:
    """A placeholder of an SDK stays one, and a key of ours is the key's method to judge."""
    assert not make(given="carol:c").recognises(shown(user, password, slot))


@pytest.mark.parametrize(
    ("password", "wanted"),
    [
        ("open sesam", "bad_key"),
        ("Open sesame", "bad_key"),
        ("open sesame ", "bad_key"),
        ("", "bad_key"),
        ("open sesame\0", "malformed"),
        ("open sesame\0x", "malformed"),
        ("x" * 73, "malformed"),
        ("x" * 20_000, "malformed"),
        ("é" * 40, "malformed"),
        ("\udcff\udcfe", "bad_key"),
        ("$2b$12$" + "a" * 53, "bad_key"),
    ],
)
def test_wrong_passwords(make: Make, password: str, wanted: str) -> None:
    assert reason(make(), "alice", password) == wanted


def test_the_right_password_of_somebody_else_is_wrong(make: Make) -> None:
    basic = make(given="carol:open sesam")
    for user, password in (("bob", "open sesame"), ("carol", "open sesame"), ("alice", "open sesam")):
        assert reason(basic, user, password) == "bad_key"


def test_a_password_of_seventy_two_bytes_is_not_continued(make: Make) -> None:
    """A4."""
    basic = make()
    assert prove(basic, "bob", "x" * 72).user == "bob"
    for more in ("x", "\0", "\0x" * 40):
        assert reason(basic, "bob", "x" * 72 + more) == "malformed"


def test_five_wrong_passwords_lock_a_user_and_nobody_else(make: Make, clock: ManualClock) -> None:
    basic = make()
    known = prove(basic, "alice", "open sesame")
    for number in range(5):
        assert reason(basic, "alice", f"guess {number}") == "bad_key"
    assert reason(basic, "alice", "guess 5") == "factor_locked"
    assert prove(basic, "bob", "x" * 72).user == "bob"
    assert prove(basic, "alice", "open sesame") == known  # what was proved before is not kept out
    clock.advance(1.5)
    assert reason(basic, "alice", "guess 5") == "bad_key"
    clock.advance(1.5)
    assert reason(basic, "alice", "guess 6") == "factor_locked"


def test_a_lock_holds_for_the_right_password_too_and_ends(make: Make, clock: ManualClock) -> None:
    basic = make()
    for number in range(8):
        clock.advance(60)
        reason(basic, "alice", f"guess {number}")
    assert reason(basic, "alice", "open sesame") == "factor_locked"
    clock.advance(10)
    assert prove(basic, "alice", "open sesame").user == "alice"


def test_guesses_that_waited_for_a_thread_meet_the_lock(make: Make) -> None:
    basic = make()
    waiting = [shown("alice", f"guess {number}") for number in range(20)]
    assert [basic.recall(one) for one in waiting] == [None] * 20
    reasons = []
    for one in waiting:
        with pytest.raises(Unauthenticated) as raised:
            basic.authenticate(one)
        reasons.append(raised.value.reason)
    assert reasons == ["bad_key"] * 5 + ["factor_locked"] * 15


def test_one_old_password_again_and_again_locks_nobody_out(make: Make, clock: ManualClock) -> None:
    """A job with yesterday's password tells whoever guesses nothing, and must not keep its owner out."""
    basic = make()
    for _ in range(50):
        clock.advance(60)
        assert reason(basic, "alice", "yesterday's") == "bad_key"
    assert prove(basic, "alice", "open sesame").user == "alice"


def test_memory_is_bounded(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    basic = make()
    monkeypatch.setattr(bcrypt, "checkpw", lambda raw, hashed: False)
    monkeypatch.setattr(basic._lockout, "is_locked", lambda name: False)
    for number in range(REMEMBERED + 50):
        reason(basic, "alice", f"guess {number}")
    assert len(basic._disproved) == REMEMBERED


# ---- names that nobody has -----------------------------------------------------------------------------------------


def refusal(basic: Basic, user: str, password: str) -> Unauthenticated:
    """What the router is told of a name and a password that stand alone."""
    presented = shown(user, password)
    assert basic.recognises(presented) or basic.may_name_a_stranger(presented)
    with pytest.raises(Unauthenticated) as raised:
        basic.recall(presented) or basic.authenticate(presented)
    return raised.value


@pytest.mark.parametrize("password", ["wrong", "", "x" * 73, "with\0nul", "\udcff", "x" * 1025])
def test_a_stranger_is_refused_as_a_user_is(
    make: Make, password: str, monkeypatch: pytest.MonkeyPatch, clock: ManualClock
) -> None:
    basic = make(given="carol:c")
    compared: list[bytes] = []

    def differs(raw: bytes, hashed: bytes) -> bool:
        compared.append(hashed)
        return False

    monkeypatch.setattr(bcrypt, "checkpw", differs)
    told = []
    for user in ("alice", "carol", "mallory", "alice "):
        before = len(compared)
        first, second = (refusal(basic, user, password) for _ in range(2))
        told.append((first.sentence, first.hint, second.hint, len(compared) - before))
    assert len(set(told)) == 1, told
    assert told[0][3] == (0 if len(password) > 1024 else 1)


def test_a_strangers_guesses_lock_that_name_as_well(make: Make) -> None:
    basic = make()
    reasons = {}
    for user in ("alice", "mallory"):
        reasons[user] = [refusal(basic, user, f"guess {number}").reason for number in range(7)]
    assert reasons["alice"] == ["bad_key"] * 5 + ["factor_locked"] * 2
    assert reasons["mallory"] == ["unknown_key"] * 5 + ["factor_locked"] * 2


def test_made_up_names_push_no_count_of_a_user_out(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    basic = make()
    for number in range(5):
        refusal(basic, "alice", f"guess {number}")
    monkeypatch.setattr(bcrypt, "checkpw", lambda raw, hashed: False)
    for number in range(REMEMBERED + 50):
        refusal(basic, f"nobody{number}", "x")
    assert refusal(basic, "alice", "guess 9").reason == "factor_locked"
    assert len(basic._strangers._counts) == REMEMBERED
    assert len(basic._disproved) == REMEMBERED


def test_a_flood_of_strangers_costs_no_more_than_a_few_hashes(
    make: Make, monkeypatch: pytest.MonkeyPatch, clock: ManualClock
) -> None:
    basic = make()
    hashed: list[bytes] = []
    monkeypatch.setattr(bcrypt, "checkpw", lambda raw, stored: hashed.append(raw))
    for second in range(1, 4):
        for number in range(50):
            assert refusal(basic, f"nobody{number}", f"x{second}").reason == "unknown_key"
        assert len(hashed) == STRANGERS_A_SECOND * second
        clock.advance(1.1)


def test_a_strangers_name_is_not_logged(make: Make) -> None:
    """It may be a password, in the wrong place."""
    basic = make()
    assert "canary" not in str(refusal(basic, "canary", "x").detail)


@pytest.mark.parametrize(
    ("user", "password", "slot"),
    [
        *(("", "x", Slot.AUTHORIZATION), ("bx", "bx", Slot.API_KEY), ("me", "llmauth_abcdefghij_x", Slot.PROXY)),
        ("me", f"{FORM}e30.x", Slot.PROXY),
    ],
)
def test_what_is_no_name_and_password(make: Make, user: str, password: str, slot: Slot) -> None:
    assert not make().may_name_a_stranger(shown(user, password, slot))


# ---- the file changes ----------------------------------------------------------------------------------------------


def look(basic: Basic) -> None:
    assert basic._files is not None
    basic._files.look()


def test_a_changed_password_ends_the_old_one_at_once(make: Make, users: Path) -> None:
    basic = make()
    before = prove(basic, "alice", "open sesame")
    other = prove(basic, "bob", "x" * 72)
    kept = users.read_text().splitlines(keepends=True)[1]
    users.write_text(line("alice", "new") + kept)
    look(basic)
    with pytest.raises(Unauthenticated) as raised:
        basic.current(before)
    assert raised.value.reason == "revoked"
    assert reason(basic, "alice", "open sesame") == "bad_key"
    assert basic.current(prove(basic, "alice", "new")).user == "alice"
    assert basic.current(other) is other


def test_a_user_who_is_gone_is_out(make: Make, users: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    basic = make()
    before, waiting = prove(basic, "alice", "open sesame"), shown("alice", "open sesame")
    users.write_text(line("bob", "x"))
    look(basic)
    assert not basic.recognises(waiting)
    with pytest.raises(Unauthenticated, match="not valid"):
        basic.current(before)
    compared: list[bytes] = []
    monkeypatch.setattr(bcrypt, "checkpw", lambda raw, hashed: compared.append(hashed))
    with pytest.raises(Unauthenticated) as raised:
        basic.authenticate(waiting)
    assert raised.value.reason == "unknown_key"
    assert len(compared) == 1  # as long as for a user


def test_a_bad_file_leaves_what_was(make: Make, users: Path, caplog: pytest.LogCaptureFixture) -> None:
    basic = make()
    proved = prove(basic, "alice", "open sesame")
    for bad in ("alice:canary\n", "", "\xff"):
        users.write_text(bad, "latin-1")
        look(basic)
        assert basic.current(proved) is proved
    assert "canary" not in caplog.text
    assert any("the old ones stay in force" in one.message for one in caplog.records)


def test_a_user_of_both_sources_is_one_too_many(make: Make, users: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(StateUnusable, match="names 'alice', who stands in BASIC_AUTH_CREDENTIALS as well"):
        make(given="alice:canary")
    basic = make(given="carol:c")
    proved = prove(basic, "carol", "c")
    users.write_text(line("carol", "other"))
    look(basic)
    assert basic.current(proved) is proved
    assert reason(basic, "carol", "other") == "bad_key"


def test_an_identity_of_the_environment_is_none_of_the_file(make: Make) -> None:
    basic = make(given="carol:c")
    for user, key_id in (("alice", None), ("carol", "0" * 16), ("nobody", None)):
        with pytest.raises(Unauthenticated):
            basic.current(Identity(user=user, method="basic", key_id=key_id))


# ---- what refuses to start -----------------------------------------------------------------------------------------


def test_without_users_there_is_no_start(make: Make, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no users: name an `htpasswd` file, or set BASIC_AUTH_CREDENTIALS"):
        make(None)
    with pytest.raises(StateUnusable, match="cannot be read: No such file"):
        make(tmp_path / "missing")


def test_a_value_is_never_shown_at_the_start(make: Make, tmp_path: Path) -> None:
    file = tmp_path / "plain"
    file.write_text("alice:canary-password\n")
    with pytest.raises(StateUnusable, match="line 1: not a bcrypt hash") as raised:
        make(file)
    assert "canary" not in str(raised.value)
    with pytest.raises(ValueError, match="entry 1") as refused:
        make(None, "canary-password")
    assert "canary" not in str(refused.value)


def test_hashes_that_are_guessed_quickly_are_told(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    make()
    assert [one.message for one in caplog.records] == [
        "htpasswd: some hashes have a low bcrypt cost, and are guessed quickly"
    ]


def test_the_start_does_not_wait_for_the_hashes(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    go, hashpw = threading.Event(), bcrypt.hashpw

    def later(raw: bytes, salt: bytes) -> bytes:
        assert go.wait(10)
        return hashpw(raw, salt)

    monkeypatch.setattr(bcrypt, "hashpw", later)
    basic = make(None, ",".join(f"user{number}:password" for number in range(4)))
    assert basic.recognises(shown("user3", "password"))
    assert basic.recall(shown("user3", "password")) is None
    go.set()
    assert prove(basic, "user3", "password").user == "user3"
    assert basic._given == {}
