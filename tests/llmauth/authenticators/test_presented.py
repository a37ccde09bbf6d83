"""A2, A8, product rules (a), (b), (c): what a request presents, and the table that decides whose it is."""

import base64
import itertools
import random

import pytest

from llmauth.authenticators.base import Presented, Slot, wrong
from llmauth.authenticators.presented import (
    AMBIENT,
    NO_PASSWORD_HINT,
    Claim,
    asks_as_proxy,
    decide,
    parameter,
    present,
    raw_slots,
)
from llmauth.context import Identity
from llmauth.errors import BadRequest, Forbidden, GatewayError, Unauthenticated
from llmauth.http import Door, Headers, Request, Url

KEY = "llmauth_abcdefghij_secret"


def request(*fields, door=Door.GATEWAY, path="/v1/models"):
    headers = Headers((name.encode(), value.encode("latin-1")) for name, value in fields)
    return Request(method="GET", url=Url("https", "api.openai.com", 443, path), headers=headers, door=door)


def ours(presented):
    return presented.value.startswith("llmauth_")


def found(*fields, **more):
    return [(each.slot, each.value) for each in present(request(*fields, **more), ours)]


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


# ------------------------------------------------------------------ what is presented


@pytest.mark.parametrize(
    ("name", "value", "slot", "presented"),
    [
        ("Authorization", f"Bearer {KEY}", Slot.AUTHORIZATION, KEY),
        ("authorization", f"bEaReR   {KEY} ", Slot.AUTHORIZATION, KEY),
        ("AUTHORIZATION", basic("anybody", KEY), Slot.AUTHORIZATION, KEY),
        ("Authorization", basic("", KEY), Slot.AUTHORIZATION, KEY),
        ("Authorization", f"Basic {KEY}", Slot.AUTHORIZATION, KEY),  # as ibm-watsonx-ai sends a token without a dot
        ("Authorization", basic("a", "with:colon"), Slot.AUTHORIZATION, "with:colon"),
        ("Authorization", KEY, Slot.AUTHORIZATION, KEY),
        ("X-API-Key", KEY, Slot.API_KEY, KEY),
        ("x-api-key", KEY, Slot.API_KEY, KEY),
        ("api-key", f" {KEY}\t", Slot.AZURE_KEY, KEY),
        ("x-goog-api-key", KEY, Slot.GOOGLE_KEY, KEY),
        ("Proxy-Authorization", basic("alice", KEY), Slot.PROXY, KEY),
        ("Proxy-Authorization", f"Bearer {KEY}", Slot.PROXY, KEY),
        ("X-Session-Token", "anything", Slot.SESSION, "anything"),
        ("Authorization", "Bearer ", Slot.AUTHORIZATION, ""),
        ("x-api-key", "", Slot.API_KEY, ""),
    ],
)
def test_every_slot_is_read(name, value, slot, presented):
    assert found((name, value)) == [(slot, presented)]


@pytest.mark.parametrize(
    "value",
    [
        "AWS4-HMAC-SHA256 Credential=AKIA/20260101/us-east-1/bedrock/aws4_request, SignedHeaders=host, Signature=00",
        f"Token {KEY}",
        "Basic ###",
        "Basic llmauth",
        "Basic " + base64.b64encode(KEY.encode()).decode(),  # a user and no password
        basic(KEY, ""),
        f"Bearer, {KEY}",
        "\xff\xfe",
    ],
)
def test_what_is_no_form_of_ours_is_still_presented(value):
    ((slot, presented),) = found(("Authorization", value))
    assert slot is Slot.AUTHORIZATION
    assert not presented.startswith("llmauth_")


@pytest.mark.parametrize(
    "name", ["x_api_key", "X_API_KEY", "X-Api_Key", "api_key", "x_goog_api_key", "proxy_authorization"]
)
def test_underscore_spellings_are_no_slot(name):
    assert found((name, KEY)) == []


@pytest.mark.parametrize(
    "name",
    ["Authorization", "X-API-Key", "api-key", "x-goog-api-key", "Proxy-Authorization", "X-Session-Token"],
)
@pytest.mark.parametrize("second", [KEY, "other", ""])
def test_a_header_twice_is_refused(name, second):
    with pytest.raises(BadRequest, match=name.lower()):
        found((name, KEY), (name.swapcase(), second))


@pytest.mark.parametrize("name", ["Authorization", "X-API-Key", "X-Session-Token"])
def test_a_connect_has_only_the_proxy_slot(name):
    both = ((name, "x"), ("Proxy-Authorization", basic("u", KEY)))
    assert found(*both, door=Door.CONNECT, path=f"?key={KEY}") == [(Slot.PROXY, KEY)]
    assert found((name, "x"), (name, "y"), door=Door.CONNECT) == []
    with pytest.raises(BadRequest):
        found(both[1], both[1], door=Door.CONNECT)


@pytest.mark.parametrize(
    "query",
    [
        f"key={KEY}",
        f"alt=sse&key={KEY}",
        f"key={KEY}&alt=sse",
        f"&&key={KEY}&",
        f"key=AIzaOther&key={KEY}",
        "key=%6c%6Cmauth_abcdefghij_secret",
        "%6bey=llmauth%5Fabcdefghij_secret",
    ],
)
def test_a_key_of_ours_in_the_query(query):
    assert found(path=f"/x?{query}") == [(Slot.QUERY_KEY, KEY)]


@pytest.mark.parametrize(
    "query", ["", "key", "key=", "key=AIzaSy", f"Key={KEY}", f"api_key={KEY}", f"key=+{KEY}", f"a={KEY}"]
)
def test_other_queries_are_the_providers_own(query):
    assert found(path=f"/x?{query}") == []


def test_a_key_of_ours_twice_in_the_query_is_refused():
    with pytest.raises(BadRequest, match=r"\?key"):
        found(path=f"/x?key={KEY}&key={KEY}")


def test_a_presigned_query_is_presented_and_of_no_form():
    query = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIA%2F1&X-Amz-Signature=00"
    assert found(path=f"/x?{query}") == [(Slot.PRESIGNED, query)]
    assert found(path="/x?x-amz-date=1") == []


def test_nothing_is_presented_by_other_headers():
    assert found(("Cookie", KEY), ("X-Service-Account", "admin"), ("X-Forwarded-User", "admin"), ("X-User", KEY)) == []


def test_values_are_not_shown():
    assert KEY not in repr(present(request(("x-api-key", KEY)), ours))


def test_parameters_are_decoded():
    assert parameter("%6bey=a%2Bb+c") == ("key", "a+b+c")
    assert parameter("alone") == ("alone", "")


# ------------------------------------------------------------------ whose request it is

ALICE = Identity(user="alice", method="api_key", key_id="A1")
ALICE2 = Identity(user="alice", method="api_key", key_id="A2")
BOB = Identity(user="bob", method="api_key", key_id="B1")
TUNNEL = Identity(user="alice", method="api_key", key_id="A0")

PROVED = {"alice": ALICE, "alice2": ALICE2, "bob": BOB}
STATES = ("absent", *PROVED, "wrong", "placeholder")
DOORS = [
    (Door.CONNECT, True, False),
    (Door.CONNECT, False, False),
    (Door.ABSOLUTE, False, False),
    (Door.ABSOLUTE, False, True),
    (Door.TUNNEL, False, False),
    (Door.GATEWAY, False, False),
]


def claims_of(states):
    claims = []
    for slot, state in states.items():
        if state != "absent":
            presented = Presented(slot=slot, value=state)
            cause = wrong("bad_key") if state == "wrong" else None
            claims.append(Claim(presented=presented, identity=PROVED.get(state), wrong=cause))
    return claims


def outcome(states, door, intercepted, gateway, tunnel):
    try:
        return decide(claims_of(states), door=door, tunnel=tunnel, intercepted=intercepted, gateway=gateway)
    except GatewayError as error:
        return error.status


def expected(states, door, intercepted, gateway, tunnel):
    """The rules once more, as sentences about the whole request."""
    held = set(states.values())
    proxy_asks = door in (Door.CONNECT, Door.ABSOLUTE)
    if "wrong" in held or states.get(Slot.SESSION) == "placeholder":
        return 401
    if proxy_asks and states.get(Slot.PROXY) == "placeholder":
        return 401
    sent = {state for slot, state in states.items() if slot not in AMBIENT} & PROVED.keys()
    around = [PROVED[state] for slot, state in states.items() if slot in AMBIENT and state in PROVED]
    if len(sent) > 1:
        return 403
    if proxy_asks and not gateway:
        sent &= {states.get(Slot.PROXY)}
        tunnel = None
    proved = [PROVED[state] for state in sent]
    if len({identity.user for identity in (*proved, *around, *([tunnel] if tunnel else []))}) > 1:
        return 403
    for identity in (*proved, *around, tunnel):
        if identity is not None:
            return identity
    return None if door is Door.CONNECT and intercepted else 401


@pytest.mark.parametrize(("door", "intercepted", "gateway"), DOORS)
@pytest.mark.parametrize("tunnel", [None, TUNNEL])
def test_the_whole_table(door, intercepted, gateway, tunnel):
    """Each of four slots in every state, beside a session token or none: 2,592 requests at each door."""
    slots = [Slot.PROXY]
    if door is not Door.CONNECT:
        slots += [Slot.API_KEY, Slot.AUTHORIZATION, Slot.QUERY_KEY]
    for held in itertools.product(STATES, repeat=len(slots)):
        for session in ("absent", "placeholder"):
            states = dict(zip(slots, held, strict=True)) | {Slot.SESSION: session}
            got = outcome(states, door, intercepted, gateway, tunnel)
            assert got == expected(states, door, intercepted, gateway, tunnel), states


def test_the_order_of_the_slots_does_not_matter():
    order = random.Random(7)
    slots = [slot for slot in Slot if slot is not Slot.SESSION]
    for _ in range(5000):
        states = {slot: order.choice(STATES) for slot in order.sample(slots, 4)}
        door, intercepted, gateway = order.choice(DOORS)
        tunnel = order.choice([None, TUNNEL, BOB])
        turned = dict(reversed(states.items()))
        if len(AMBIENT & states.keys()) > 1:  # of several around the request, the first has the say
            continue
        here, there = (outcome(each, door, intercepted, gateway, tunnel) for each in (states, turned))
        assert here == there == expected(states, door, intercepted, gateway, tunnel)


def test_the_table_in_words():
    inside = {"door": Door.TUNNEL, "intercepted": False, "gateway": False}
    # (a) of our form: right, or 401; of the tunnel's user, or 403
    assert outcome({Slot.API_KEY: "alice"}, tunnel=None, **inside) == ALICE
    assert outcome({Slot.API_KEY: "alice2"}, tunnel=TUNNEL, **inside) == ALICE2
    assert outcome({Slot.API_KEY: "wrong"}, tunnel=TUNNEL, **inside) == 401
    assert outcome({Slot.API_KEY: "bob"}, tunnel=TUNNEL, **inside) == 403
    assert outcome({Slot.API_KEY: "alice", Slot.AUTHORIZATION: "alice2"}, tunnel=None, **inside) == 403
    assert outcome({Slot.API_KEY: "alice", Slot.AUTHORIZATION: "alice"}, tunnel=None, **inside) == ALICE
    # (b) a placeholder beside an identity
    assert outcome({Slot.AUTHORIZATION: "placeholder"}, tunnel=TUNNEL, **inside) == TUNNEL
    assert outcome({Slot.AUTHORIZATION: "placeholder", Slot.API_KEY: "bob"}, tunnel=None, **inside) == BOB
    assert outcome({Slot.PRESIGNED: "placeholder", Slot.PROXY: "alice"}, tunnel=None, **inside) == ALICE
    # (c) a placeholder alone, or nothing
    assert outcome({Slot.AUTHORIZATION: "placeholder"}, tunnel=None, **inside) == 401
    assert outcome({}, tunnel=None, **inside) == 401


def refused(states, door, **more):
    with pytest.raises((Unauthenticated, Forbidden)) as error:
        decide(claims_of(states), door=door, **({"tunnel": None, "intercepted": False, "gateway": False} | more))
    return error.value


def test_a_refusal_says_why_to_the_log_and_never_which_part_was_wrong():
    sentences = set()
    for reason in ("malformed", "unknown_key", "bad_key", "expired", "revoked"):
        claim = Claim(presented=Presented(slot=Slot.API_KEY, value=KEY), wrong=wrong(reason, "key abc"))
        with pytest.raises(Unauthenticated) as error:
            decide([claim], door=Door.GATEWAY, tunnel=None, intercepted=False, gateway=False)
        assert (error.value.reason, error.value.detail) == (reason, "key abc")
        sentences.add(error.value.sentence)
    assert len(sentences) == 1


def test_hints_fit_the_door():
    assert refused({}, Door.GATEWAY).reason == "missing"
    assert "X-API-Key" in refused({}, Door.TUNNEL).hint
    assert "http://user:KEY@" in refused({}, Door.CONNECT).hint
    assert "http://user:KEY@" in refused({}, Door.ABSOLUTE).hint
    stranger = refused({Slot.AUTHORIZATION: "placeholder"}, Door.GATEWAY)
    assert stranger.reason == "unrecognised"
    assert "'authorization'" in stranger.hint
    assert "begin with llmauth_" in stranger.hint


def test_a_name_and_a_password_are_refused_in_the_words_of_the_method_that_has_names():
    """Else the words would tell which names there are."""
    for door, slot in ((Door.GATEWAY, Slot.AUTHORIZATION), (Door.CONNECT, Slot.PROXY), (Door.ABSOLUTE, Slot.PROXY)):
        claim = Claim(presented=Presented(slot=slot, value="x", user="mallory"))
        with pytest.raises(Unauthenticated) as raised:
            decide([claim], door=door, tunnel=None, intercepted=False, gateway=False)
        assert raised.value.hint == NO_PASSWORD_HINT


def test_a_conflict_names_the_slots():
    both = refused({Slot.API_KEY: "alice", Slot.QUERY_KEY: "bob"}, Door.GATEWAY)
    assert "'x-api-key' and '?key'" in both.message
    assert "'x-api-key'" in refused({Slot.API_KEY: "bob"}, Door.TUNNEL, tunnel=TUNNEL).message


@pytest.mark.parametrize("door", Door)
def test_the_proxy_asks_at_connect_and_on_absolute_form(door):
    assert asks_as_proxy(door) is (door in (Door.CONNECT, Door.ABSOLUTE))


# ------------------------------------------------------------------ a key among the subprotocols of a WebSocket

UPGRADE = ("Upgrade", "websocket")


def protocols(*items):
    return "Sec-WebSocket-Protocol", ", ".join(items)


def test_a_key_among_the_subprotocols_is_read():
    assert found(UPGRADE, protocols("realtime", f"openai-insecure-api-key.{KEY}")) == [(Slot.SUBPROTOCOL, KEY)]
    assert found(UPGRADE, protocols("openai-insecure-api-key.sk-x")) == [(Slot.SUBPROTOCOL, "sk-x")]
    assert found(UPGRADE, protocols(f"bearer.{KEY}")) == [(Slot.SUBPROTOCOL, KEY)]
    assert found(UPGRADE, protocols("realtime")) == []


def test_without_a_websocket_it_is_no_slot():
    assert found(protocols(f"openai-insecure-api-key.{KEY}")) == []
    assert found(("Upgrade", "h2c"), protocols(f"openai-insecure-api-key.{KEY}")) == []


@pytest.mark.parametrize(
    "fields",
    [
        (protocols(f"openai-insecure-api-key.{KEY}", f"openai-insecure-api-key.{KEY}x"),),
        (protocols("realtime"), protocols(f"openai-insecure-api-key.{KEY}")),
    ],
)
def test_a8_two_keys_among_the_subprotocols_are_refused(fields):
    with pytest.raises(BadRequest):
        found(UPGRADE, *fields)


def test_a2_what_stood_there_is_not_proved_by_what_another_request_showed():
    assert raw_slots(request(UPGRADE, protocols("realtime"))) is None
    assert raw_slots(request(UPGRADE)) is not None
