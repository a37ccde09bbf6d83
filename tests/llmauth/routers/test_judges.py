"""A2, A8: which method judges a value, what it says of it, and how an identity stands now."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llmauth.authenticators.base import Presented, Slot, wrong
from llmauth.authenticators.basic import Basic, BasicOptions
from llmauth.authenticators.flights import Flights
from llmauth.authenticators.keys import IssuedKeys
from llmauth.clock import SystemClock
from llmauth.context import Identity
from llmauth.errors import Forbidden, SecondFactorRequired, Unauthenticated, Unavailable
from llmauth.http import Door, Headers, Request, Url
from llmauth.routers.judges import Judges
from llmauth.storage.key_text import new_key
from llmauth.storage.keys import KeyStore
from tests.fixtures.methods import Slow, issued_keys, surroundings


class Named(Slow):
    """A method that recognises whatever begins with its name, and remembers all of it."""

    def __init__(self, name: str, slots: frozenset[Slot] = frozenset()) -> None:
        super().__init__()
        self.name, self.slots, self.asked = name, slots, 0
        self.says: Any = None

    def recognises(self, presented: Presented) -> bool:
        return presented.value.startswith(self.name)

    def recall(self, presented: Presented) -> Any:
        self.asked += 1
        if isinstance(self.says, Exception):
            raise self.says
        return self.says

    def current(self, identity: Identity) -> Any:
        return self.recall(shown(""))


@pytest.fixture
def flights() -> Iterator[Flights]:
    made = Flights(2, 4)
    yield made
    made.close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[KeyStore]:
    opened = KeyStore(tmp_path / "state" / "keys.db")
    yield opened
    opened.close()


@pytest.fixture
def keys(store: KeyStore) -> IssuedKeys:
    made = issued_keys(store, SystemClock())
    made._feed.poll()
    return made


def shown(value: str, slot: Slot = Slot.API_KEY) -> Presented:
    return Presented(slot=slot, value=value)


def request(*fields: tuple[str, str], door: Door = Door.GATEWAY) -> Request:
    headers = Headers((name.encode(), value.encode()) for name, value in fields)
    return Request(
        method="GET", url=Url("http", "gateway", 80, "/v1/models"), headers=headers, door=door, source="192.0.2.1"
    )


def test_the_first_that_recognises_a_value_judges_it_and_no_other_is_asked(flights: Flights) -> None:
    one, other = Named("wide"), Named("wider")
    one.says = wrong("bad_key")
    other.says = Identity(user="root", method="wider")
    judges = Judges([one, other], flights)
    claim = judges.judge(shown("wider"), request(), b"")
    assert claim is not None
    assert (claim.identity, claim.wrong, other.asked) == (None, one.says, 0)
    assert judges.method_of(shown("wider")) is one
    assert [each.name for each in judges] == ["wide", "wider"]


def test_what_nobody_recognises_proves_nothing_and_is_nothing_wrong(flights: Flights, keys: IssuedKeys) -> None:
    claim = Judges([keys], flights).judge(shown("sk-placeholder"), request(), b"")
    assert claim is not None
    assert (claim.identity, claim.wrong) == (None, None)
    assert not Judges([], flights).recognises(shown("llmauth_x"))


async def test_what_memory_does_not_know_is_proved_beside_it(
    flights: Flights, keys: IssuedKeys, store: KeyStore
) -> None:
    record, key = store.create("ci")
    judges = Judges([keys], flights)
    assert judges.judge(shown(key.reveal()), request(), b"") is None
    proved = (await judges.prove(shown(key.reveal()))).identity
    assert proved is not None
    assert proved.key_id == record.id
    again = judges.judge(shown(key.reveal()), request(), b"")
    assert again is not None
    assert again.identity is proved


async def test_a_wrong_value_is_a_claim_and_no_error(flights: Flights, keys: IssuedKeys) -> None:
    judges = Judges([keys], flights)
    claim = await judges.prove(shown(new_key()[1].reveal()))
    assert claim.identity is None
    assert claim.wrong is not None
    assert claim.wrong.reason == "unknown_key"
    mistyped = judges.judge(shown("llmauth_short"), request(), b"")
    assert mistyped is not None
    assert mistyped.wrong is not None
    assert mistyped.wrong.reason == "malformed"


def test_where_nothing_can_be_judged_that_is_said(flights: Flights) -> None:
    down = Named("down")
    down.says = Unavailable("Keys cannot be checked at the moment.")
    with pytest.raises(Unavailable):
        Judges([down], flights).judge(shown("down"), request(), b"")


def test_slots_that_only_one_method_knows_are_fields_like_any_other_without_it(flights: Flights) -> None:
    field = (Slot.OIDC_DATA.value, "people eyJ")
    with_it = Judges([Named("people", frozenset({Slot.OIDC_DATA}))], flights)
    assert [one.slot for one in with_it.present(request(field))] == [Slot.OIDC_DATA]
    assert Judges([Named("people")], flights).present(request(field)) == ()


def test_a_query_parameter_is_a_slot_for_what_is_recognised_alone(flights: Flights, keys: IssuedKeys) -> None:
    asked = replace(request(), url=Url("http", "gateway", 80, "/v1/models?key=AIza-theirs"))
    assert Judges([keys], flights).present(asked) == ()
    ours = replace(asked, url=Url("http", "gateway", 80, "/v1/models?key=llmauth_x"))
    assert [one.slot for one in Judges([keys], flights).present(ours)] == [Slot.QUERY_KEY]


def test_only_the_proxy_password_counts_at_connect(flights: Flights, keys: IssuedKeys) -> None:
    proxy = ("Proxy-Authorization", "Basic " + base64.b64encode(b"me:llmauth_x").decode())
    judges = Judges([keys], flights)
    found = judges.present(request(proxy, ("X-API-Key", "llmauth_y"), door=Door.CONNECT))
    assert [(one.slot, one.value) for one in found] == [(Slot.PROXY, "llmauth_x")]


# As it stands now


def test_an_identity_is_what_its_own_method_says_it_is_now(flights: Flights) -> None:
    method = Named("m")
    method.says = Identity(user="u", method="m", groups=("new",))
    assert Judges([method], flights).current(Identity(user="u", method="m", groups=("old",))) is method.says


@pytest.mark.parametrize("name", ["gone", "none", ""])
def test_an_identity_of_no_method_that_is_on_has_ended(flights: Flights, name: str) -> None:
    with pytest.raises(Unauthenticated) as error:
        Judges([Named("m")], flights).current(Identity(user="u", method=name))
    assert error.value.reason == "revoked"
    assert error.value.message == "The credential is not valid."


def test_one_that_has_ended_is_told_as_every_wrong_one_is(flights: Flights) -> None:
    method = Named("m")
    method.says = wrong("expired", "key k1")
    with pytest.raises(Unauthenticated) as error:
        Judges([method], flights).current(Identity(user="u", method="m"))
    assert (error.value.message, error.value.reason) == ("The credential is not valid.", "expired")
    assert "k1" not in error.value.sentence
    assert "llmauth keys list" in error.value.hint


def test_a_factor_that_was_shown_holds_and_one_that_was_not_is_asked_for(flights: Flights) -> None:
    """A key that got a second factor while its tunnel was open is let through no longer."""
    method = Named("m")
    method.says = Identity(user="u", method="m", key_id="k", factor_due="code")
    judges = Judges([method], flights)
    proved = judges.current(Identity(user="u", method="m", key_id="k", second_factor=True))
    assert (proved.second_factor, proved.factor_due) == (True, None)
    with pytest.raises(SecondFactorRequired):
        judges.current(Identity(user="u", method="m", key_id="k"))
    method.says = replace(method.says, factor_due="enrolment")
    with pytest.raises(Forbidden):
        judges.current(Identity(user="u", method="m", key_id="k", second_factor=True))


async def test_many_who_wait_for_one_value_cost_one_computation(flights: Flights) -> None:
    slow = Slow()
    judges = Judges([slow], flights)
    asked = [asyncio.ensure_future(judges.prove(shown("slow-one"))) for _ in range(16)]
    await asyncio.sleep(0)
    slow.go.set()
    claims = await asyncio.gather(*asked)
    assert {claim.identity.user for claim in claims if claim.identity} == {"slow-one"}
    assert slow.calls == ["slow-one"]


def test_without_the_method_no_request_has_a_signature(flights: Flights, keys: IssuedKeys) -> None:
    signed = request(("Authorization", "AWS4-HMAC-SHA256 Credential=LLMA/20260101/us-east-1/bedrock/aws4_request"))
    judges = Judges([keys], flights)
    assert judges.promise(signed) is None
    (presented,) = judges.present(signed)
    claim = judges.judge(presented, signed, None)
    assert claim is not None
    assert (claim.identity, claim.wrong) == (None, None)


# ---- names that nobody has -----------------------------------------------------------------------------------------


@pytest.fixture
def basic(store: KeyStore) -> Iterator[Basic]:
    environ = {"BASIC_AUTH_CREDENTIALS": "carol:right"}
    made = Basic(BasicOptions(type="basic"), surroundings(store, SystemClock(), environ=environ))
    made.start()
    yield made
    made.stop()


async def test_a_name_that_nobody_has_is_judged_where_it_stands_alone(flights: Flights, basic: Basic) -> None:
    """As a wrong password is: neither words nor time tell which names there are."""
    judges = Judges([basic], flights)
    told = []
    for user in ("carol", "mallory"):
        presented = Presented(slot=Slot.AUTHORIZATION, value="wrong", user=user)
        assert judges.judge(presented, request(), b"", alone=True) is None
        proved = (await judges.prove(presented)).wrong
        again = judges.judge(presented, request(), b"", alone=True)
        assert proved is not None
        assert again is not None
        assert again.wrong is not None
        told.append((proved.sentence, again.wrong.sentence))
    assert told[0] == told[1]


@pytest.mark.parametrize("alone", [True, False])
def test_beside_another_credential_it_is_a_placeholder(flights: Flights, basic: Basic, alone: bool) -> None:
    """ibm-watsonx-ai sends `bx:bx`; and without the method nobody is asked about names."""
    presented = Presented(slot=Slot.AUTHORIZATION, value="bx", user="bx")
    claim = Judges([], flights).judge(presented, request(), b"", alone=alone)
    assert claim is not None
    assert claim.wrong is None
    claim = Judges([basic], flights).judge(presented, request(), b"", alone=False)
    assert claim is not None
    assert claim.wrong is None
