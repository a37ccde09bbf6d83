"""Keys of the environment: which variables bring them, what proves them, and what refuses to start."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from llmauth.authenticators import stripping
from llmauth.authenticators.base import Presented, Slot
from llmauth.authenticators.imported import LONGEST, SHORTEST, ApiKeys, ImportedKeys
from llmauth.authenticators.keys import ApiKeyOptions
from llmauth.authenticators.tokens import FORM
from llmauth.clock import ManualClock
from llmauth.context import Identity
from llmauth.errors import Unauthenticated
from llmauth.storage.keys import KeyStore
from tests.fixtures.methods import surroundings

ONE, OTHER = "canary-0123456789abcdef", "canary-/+=:; ,fedcba"
ENVIRON = {"API_KEY_USER1": ONE, "BEDROCK_API_KEY_Team_B": f" {OTHER}\n", "API_KEY": "x", "MY_API_KEY_X": "x", "Z": ""}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[KeyStore]:
    tmp_path.chmod(0o700)
    made = KeyStore(tmp_path / "keys.db")
    yield made
    made.close()


@pytest.fixture
def keys(store: KeyStore) -> Iterator[ApiKeys]:
    made = ApiKeys(ApiKeyOptions(type="api_key"), surroundings(store, ManualClock(), environ=ENVIRON))
    made.start()
    yield made
    made.stop()


def shown(value: str, slot: Slot = Slot.API_KEY) -> Presented:
    return Presented(slot=slot, value=value)


def test_each_variable_brings_a_key_by_its_last_part(keys: ApiKeys) -> None:
    for value, name in ((ONE, "user1"), (OTHER, "team_b")):
        assert keys.recognises(shown(value))
        identity = keys.recall(shown(value))
        assert identity == Identity(user=name, method="api_key", key_name=name)
        assert keys.authenticate(shown(value)) is identity
        assert keys.current(identity) is identity


@pytest.mark.parametrize("slot", [slot for slot in Slot if slot is not Slot.SESSION])
def test_it_is_taken_in_every_slot_of_keys(keys: ApiKeys, slot: Slot) -> None:
    assert keys.recognises(shown(ONE, slot))


@pytest.mark.parametrize(
    "value",
    [
        *(ONE[:-1], ONE + "x", ONE.upper(), f" {ONE}", f"{ONE}\0", f"{ONE}\n", "0" * len(ONE), "", "x"),
        *("é" * len(ONE), "\udcff" * 20, "\ud800" * 20, ONE * 1000, "sk-placeholder-placeholder", "user1"),
    ],
)
def test_a_near_miss_is_nothing_of_ours(keys: ApiKeys, value: str) -> None:
    """2.9 row 4: a wrong key of the same length, among others. Where nothing else proves who calls, it is refused."""
    assert not keys.recognises(shown(value))


def test_the_session_slot_takes_none(keys: ApiKeys) -> None:
    assert not keys.recognises(shown(ONE, Slot.SESSION))


def test_issued_keys_are_judged_as_before(keys: ApiKeys, store: KeyStore) -> None:
    issued = store.create("ci")[1].reveal()
    keys._feed.poll()
    assert keys.recall(shown(issued)) is None
    identity = keys.authenticate(shown(issued))
    assert (identity.user, keys.current(identity).key_name) == ("ci", "ci")
    assert keys.recognises(shown("llmauth_mistyped"))
    with pytest.raises(Unauthenticated):
        keys.recall(shown("llmauth_mistyped"))


def test_an_identity_of_another_environment_has_ended(keys: ApiKeys) -> None:
    with pytest.raises(Unauthenticated) as raised:
        keys.current(Identity(user="gone", method="api_key", key_name="gone"))
    assert raised.value.reason == "revoked"


def test_without_such_variables_nothing_is_recognised_or_looked_for(store: KeyStore) -> None:
    keys = ApiKeys(ApiKeyOptions(type="api_key"), surroundings(store, ManualClock()))
    keys.start()
    assert not keys.recognises(shown(ONE))
    assert stripping._foreign == {}
    keys.stop()


def test_the_log_names_the_keys_and_no_value(keys: ApiKeys, store: KeyStore, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    other = ApiKeys(ApiKeyOptions(type="api_key"), surroundings(store, ManualClock(), environ=ENVIRON))
    other.start()
    other.stop()
    told = [vars(one)["names"] for one in caplog.records if one.message == "keys of the environment are taken"]
    assert told == ["team_b, user1"]
    assert "canary" not in caplog.text + repr(vars(other)) + repr(other._imported.keys)


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"API_KEY_A": ""}, "API_KEY_A is empty"),
        ({"API_KEY_A": " \n"}, "API_KEY_A is empty"),
        ({"BEDROCK_API_KEY_A": "canary-"}, f"BEDROCK_API_KEY_A has less than {SHORTEST} characters"),
        ({"API_KEY_A": "canary-" + "x" * 8}, "less than 16"),
        ({"API_KEY_A": "canary-" + "x" * LONGEST}, "no header can carry"),
        ({"API_KEY_A": f"canary-{ONE}\n{ONE}"}, "no header can carry"),
        ({"API_KEY_A": f"canary-é{ONE}"}, "no header can carry"),
        ({"API_KEY_A": f"canary-\udcff{ONE}"}, "no header can carry"),
        ({"API_KEY_A": "llmauth_canary-canary-canary"}, "the form of what this gateway issues"),
        ({"API_KEY_A": f"{FORM}canary-canary"}, "the form of what this gateway issues"),
        ({"API_KEY_": ONE}, "API_KEY_ names no key"),
        ({"API_KEY_A B": ONE}, "API_KEY_A B names no key"),
        ({"API_KEY_" + "A" * 101: ONE}, "names no key"),
        ({"API_KEY_A": ONE, "API_KEY_B": ONE}, "API_KEY_B has a value that another variable has already"),
        ({"API_KEY_A": ONE, "BEDROCK_API_KEY_B": ONE}, "has a value that another"),
        ({"API_KEY_A": ONE, "API_KEY_B": OTHER, "BEDROCK_API_KEY_A": OTHER}, "has a value that another"),
        ({"API_KEY_A": ONE, "BEDROCK_API_KEY_A": OTHER}, r"BEDROCK_API_KEY_A has a name \('a'\) that another"),
        ({"API_KEY_A": ONE, "API_KEY_a": OTHER}, r"a name \('a'\)"),
    ],
)
def test_what_cannot_be_a_key_refuses_to_start_and_names_the_variable_alone(environ: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=said) as raised:
        ImportedKeys(environ)
    assert "canary" not in str(raised.value)


def test_one_key_may_stand_under_both_prefixes() -> None:
    """2.9 row 5: a script writes the one and an older server read the other."""
    keys = ImportedKeys({"API_KEY_USER1": ONE, "BEDROCK_API_KEY_USER1": f"{ONE}\n"})
    assert keys.names == ("user1",)
    assert len(keys.keys) == 1


def test_two_processes_keep_the_same_key_by_different_digests() -> None:
    one, other = ImportedKeys(ENVIRON), ImportedKeys(ENVIRON)
    assert one._held.keys().isdisjoint(other._held.keys())
    assert one.find(ONE) == other.find(ONE)
