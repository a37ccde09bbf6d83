"""A1, A2, A4, A8, R1: the auth router over real keys, a real store and a real pool."""

import asyncio
import base64
import itertools
import json
import logging
import time
from dataclasses import replace

import pytest

from llmauth.authenticators.base import Presented, Slot
from llmauth.authenticators.flights import QUEUE_LIMIT
from llmauth.clock import SystemClock
from llmauth.context import Identity
from llmauth.errors import BadRequest, Forbidden, GatewayError, InternalError, Unauthenticated, Unavailable
from llmauth.http import Door, Headers, Request, Url
from llmauth.routers.auth import ANONYMOUS, AuthRouter, Pending, decision_of
from llmauth.storage.key_text import new_key
from llmauth.storage.keys import KeyStore
from tests.fixtures.methods import Slow, issued_keys


def still_valid(keys, identity):
    """Whether the key of an identity is neither revoked nor expired now."""
    try:
        keys.current(identity)
    except Unauthenticated:
        return False
    return True


@pytest.fixture
def store(tmp_path):
    opened = KeyStore(tmp_path / "state" / "keys.db")
    yield opened
    opened.close()


@pytest.fixture
def failures():
    return []


@pytest.fixture
def keys(store):
    return issued_keys(store, SystemClock())


@pytest.fixture
def router(keys, failures):
    made = AuthRouter(
        [keys], enabled=True, clock=SystemClock(), on_failure=lambda method, reason: failures.append((method, reason))
    )
    made.start()
    yield made
    made.stop()


def request(*fields, door=Door.GATEWAY, path="/v1/models"):
    headers = Headers((name.encode(), value.encode("utf-8", "surrogateescape")) for name, value in fields)
    return Request(
        method="GET", url=Url("https", "api.openai.com", 443, path), headers=headers, door=door, source="10.2.3.4"
    )


class Lasting:
    """A method whose identities have no key, and end one by one."""

    name = "person"
    slots: frozenset[Slot] = frozenset()

    def __init__(self):
        self.ended = []

    def start(self):
        pass

    def stop(self):
        pass

    def usable(self):
        return True

    def recognises(self, presented):
        return presented.value == "person"

    def recall(self, presented):
        return Identity(user="alice", method=self.name)

    authenticate = recall

    def current(self, identity):
        if any(identity is one for one in self.ended):
            raise Unauthenticated("ended", reason="expired")
        return identity


async def ask(router, *fields, tunnel=None, intercepted=False, gateway=False, **more):
    answer = router.recall(request(*fields, **more), tunnel=tunnel, intercepted=intercepted, gateway=gateway)
    return await router.authenticate(answer) if isinstance(answer, Pending) else answer


async def refused(router, *fields, **more):
    with pytest.raises(GatewayError) as error:
        await ask(router, *fields, **more)
    return error.value


def proxy(key, user="u"):
    return ("Proxy-Authorization", "Basic " + base64.b64encode(f"{user}:{key.reveal()}".encode()).decode())


def api_key(key):
    return ("X-API-Key", key.reveal())


async def test_first_a_thread_and_then_memory(router, store):
    record, key = store.create("ci", user="alice")
    first = router.recall(request(api_key(key)))
    assert isinstance(first, Pending)
    identity, decision = await router.authenticate(first)
    assert (identity.user, identity.key_id) == ("alice", record.id)
    assert (decision.router, decision.input, decision.outcome) == ("auth", "x-api-key", "alice")
    assert decision.reason == "api_key ci"
    assert decision.took > 0
    again = router.recall(request(api_key(key)))
    assert not isinstance(again, Pending)
    assert again[0] is identity


SLOTS = {
    "authorization": lambda value: ("Authorization", f"Bearer {value}"),
    "x-api-key": lambda value: ("x-api-key", value),
    "api-key": lambda value: ("api-key", value),
    "x-goog-api-key": lambda value: ("x-goog-api-key", value),
    "proxy-authorization": lambda value: (
        "Proxy-Authorization",
        "Basic " + base64.b64encode(f"u:{value}".encode()).decode(),
    ),
    "?key": lambda value: ("?key", value),
}


async def test_every_pair_of_slots_in_every_state(router, store):
    """Rules (a), (b), (c) through real headers: slots x {absent, ours, another's, wrong, placeholder} x tunnels."""
    alice, alice_key = store.create("alice")
    _, bob_key = store.create("bob")
    values = {"alice": alice_key.reveal(), "bob": bob_key.reveal(), "wrong": new_key()[1].reveal(), "other": "sk-x"}
    tunnels = {
        None: None,
        "alice": (await ask(router, ("x-api-key", values["alice"])))[0],
        "bob": (await ask(router, ("x-api-key", values["bob"])))[0],
    }
    tried = 0
    for (one, two), held, through in itertools.product(
        itertools.combinations(SLOTS, 2), itertools.product((None, *values), repeat=2), tunnels
    ):
        states = {slot: state for slot, state in zip((one, two), held, strict=True) if state}
        fields = [SLOTS[slot](values[state]) for slot, state in states.items() if slot != "?key"]
        path = f"/x?key={values[states['?key']]}" if "?key" in states else "/x"
        door = Door.GATEWAY if through is None else Door.TUNNEL
        try:
            got = (await ask(router, *fields, path=path, tunnel=tunnels[through], door=door))[0].user
        except GatewayError as error:
            got = error.status
        assert got == _meant(set(states.values()), through), (states, through)
        tried += 1
    assert tried == 15 * 25 * 3
    assert store.list()[0].id == alice.id


def _meant(states, through):
    users = states & {"alice", "bob"}
    if "wrong" in states:
        return 401
    if len(users | ({through} - {None})) > 1:
        return 403
    return next(iter(users), through) or 401


async def test_connect(router, store):
    _, key = store.create("alice")
    assert (await ask(router, proxy(key), door=Door.CONNECT))[0].user == "alice"
    identity, decision = await ask(router, door=Door.CONNECT, intercepted=True)
    assert identity is None
    assert (decision.input, decision.outcome) == ("none", "none")
    assert (await refused(router, door=Door.CONNECT)).reason == "missing"
    for intercepted in (True, False):
        wrong = await refused(router, proxy(new_key()[1]), door=Door.CONNECT, intercepted=intercepted)
        assert isinstance(wrong, Unauthenticated)
        other = ("Proxy-Authorization", "Basic " + base64.b64encode(b"u:placeholder").decode())
        assert (await refused(router, other, door=Door.CONNECT, intercepted=intercepted)).reason == "unrecognised"
        assert (await ask(router, proxy(key), api_key(key), door=Door.CONNECT, intercepted=intercepted))[0] is not None
    assert (await refused(router, api_key(key), door=Door.CONNECT)).reason == "missing"


async def test_absolute_form(router, store):
    _, key = store.create("alice")
    assert (await ask(router, proxy(key), door=Door.ABSOLUTE))[0].user == "alice"
    assert (await refused(router, api_key(key), door=Door.ABSOLUTE)).reason == "missing"
    assert (await ask(router, api_key(key), door=Door.ABSOLUTE, gateway=True))[0].user == "alice"
    wrong = ("Proxy-Authorization", "Bearer sk-x")
    assert (await refused(router, wrong, api_key(key), door=Door.ABSOLUTE, gateway=True)).reason == "unrecognised"


async def test_a_session_token_is_ours_alone(router, store):
    _, key = store.create("alice")
    tunnel = (await ask(router, api_key(key)))[0]
    for value in ("anything", "", key.reveal()):
        wrong = await refused(router, ("X-Session-Token", value), api_key(key), tunnel=tunnel, door=Door.TUNNEL)
        assert (wrong.status, wrong.reason) == (401, "unrecognised")


@pytest.mark.parametrize(
    "value",
    [
        "AWS4-HMAC-SHA256 Credential=AKIADUMMY/20260101/us-east-1/bedrock/aws4_request, Signature=0",
        "Bearer sk-placeholder",
        "Bearer eyJhbGciOiJub25lIn0.e30.",
        "Basic %%%",
    ],
)
async def test_what_sdks_send_beside_a_tunnel_is_no_wrong_key(router, store, failures, value):
    _, key = store.create("alice")
    tunnel = (await ask(router, proxy(key), door=Door.CONNECT))[0]
    inside = {"door": Door.TUNNEL, "path": "/x?X-Amz-Signature=0&key=AIza"}
    assert (await ask(router, ("Authorization", value), tunnel=tunnel, **inside))[0] == tunnel
    assert failures == []
    assert (await refused(router, ("Authorization", value), **inside)).status == 401


async def test_spoofed_identity_headers_are_nothing(router):
    """Acceptance check 3."""
    spoofed = [(name, "admin") for name in ("X-Service-Account", "X-Namespace", "X-Forwarded-User", "x_api_key")]
    assert (await refused(router, *spoofed, ("X-Amzn-Oidc-Data", "e30."))).reason == "missing"


async def test_two_values_in_one_header_are_refused(router, store, failures):
    """A8, even where both are the same right key."""
    _, key = store.create("alice")
    error = await refused(router, api_key(key), api_key(key))
    assert isinstance(error, BadRequest)
    assert failures == [("none", "doubled")]


async def test_a_key_that_was_revoked_ends_an_open_tunnel_within_a_second(router, store, keys):
    """A5, also beside another right key in the request."""
    _, key = store.create("alice")
    _, other = store.create("other", user="alice")
    tunnel = (await ask(router, proxy(key), door=Door.CONNECT))[0]
    await ask(router, api_key(other))
    assert (await ask(router, tunnel=tunnel, door=Door.TUNNEL))[0] == tunnel
    store.revoke("alice")
    began = time.monotonic()
    while still_valid(keys, tunnel):
        await asyncio.sleep(0.005)
    assert time.monotonic() - began < 1
    for fields in ((), (api_key(other),)):
        error = await refused(router, *fields, tunnel=tunnel, door=Door.TUNNEL)
        assert (error.status, error.reason) == (401, "revoked")
        assert "revoked" in error.hint


async def test_whether_an_identity_still_stands(router, store, keys):
    """A5: asked by who keeps a tunnel open in which no request is seen."""
    _, key = store.create("alice")
    tunnel = (await ask(router, proxy(key), door=Door.CONNECT))[0]
    assert router.holds(tunnel)
    assert not router.holds(Identity(user="alice", method="oidc"))
    store.revoke("alice")
    while still_valid(keys, tunnel):
        await asyncio.sleep(0.005)
    assert not router.holds(tunnel)


async def test_a_proof_stands_for_its_own_tunnel_and_as_long_as_its_identity(router, store, keys):
    """A5: asked for a head that is known to present the same."""
    _, key = store.create("alice")
    tunnel = (await ask(router, proxy(key), door=Door.CONNECT))[0]
    asked = request(api_key(key), door=Door.TUNNEL)
    answer = await ask(router, api_key(key), tunnel=tunnel, door=Door.TUNNEL)
    proof = router.proof(asked, tunnel, answer)
    assert router.stands(proof, tunnel) == router.again(proof, asked, tunnel) == answer
    assert router.stands(proof, None) is None
    assert router.stands(proof, replace(tunnel)) is None, "an equal one that was proved elsewhere"
    store.revoke("alice")
    while still_valid(keys, tunnel):
        await asyncio.sleep(0.005)
    assert router.stands(proof, tunnel) is None


async def test_an_identity_of_a_method_that_is_off_is_worth_nothing(router):
    stranger = Identity(user="alice", method="oidc")
    assert (await refused(router, tunnel=stranger, door=Door.TUNNEL)).reason == "revoked"
    assert (await refused(router, tunnel=ANONYMOUS, door=Door.TUNNEL)).reason == "revoked"


def in_form(value):
    return (Presented(slot=Slot.FORM, value=value),)


async def asked_in_a_form(router, value, *fields, tunnel=None):
    answer = router.recall(request(*fields, door=Door.TUNNEL), tunnel=tunnel, form=in_form(value))
    return await router.authenticate(answer) if isinstance(answer, Pending) else answer


async def test_a_key_in_a_form_is_judged_as_in_a_slot(router, store):
    """A8: the same three things may stand there."""
    record, key = store.create("ci", user="alice")
    _, other = store.create("other", user="bob")
    identity, decision = await asked_in_a_form(router, key.reveal())
    assert (identity.key_id, decision.input) == (record.id, "form")
    assert (await asked_in_a_form(router, "placeholder", tunnel=identity))[0] == identity
    assert (await asked_in_a_form(router, "placeholder", api_key(key)))[0] == identity
    for value, status, fields, tunnel in (
        ("placeholder", 401, (), None),
        (key.reveal()[:-1], 401, (), None),
        (key.reveal()[:-1], 401, (api_key(key),), identity),
        (other.reveal(), 403, (), identity),
        (other.reveal(), 403, (api_key(key),), None),
    ):
        with pytest.raises(GatewayError) as caught:
            await asked_in_a_form(router, value, *fields, tunnel=tunnel)
        assert caught.value.status == status


async def test_a_head_shows_something_when_it_is_of_our_form(router, store, keys):
    _, key = store.create("ci")
    assert router.shows(request(api_key(key)))
    assert router.shows(request(("Authorization", "Bearer llmauth_wrong")))
    assert not router.shows(request())
    assert not router.shows(request(("Authorization", "Basic Yng6Yng="), ("x-api-key", "placeholder")))
    with pytest.raises(BadRequest):
        router.shows(request(("X-API-Key", "a"), ("X-API-Key", "b")))
    assert AuthRouter([keys], enabled=False, clock=SystemClock()).shows(request())


async def test_a_tunnel_without_a_key_is_looked_at_each_time(router, store):
    """A2: two identities that have no key are not the same one."""
    method = Lasting()
    made = AuthRouter([method], enabled=True, clock=SystemClock())
    try:
        inside = request(("Authorization", "Bearer person"), door=Door.TUNNEL)
        tunnel = Identity(user="alice", method="person")
        answer = made.recall(inside, tunnel=tunnel)
        assert not isinstance(answer, Pending)
        proof = made.proof(inside, tunnel, answer)
        assert proof is not None
        assert made.again(proof, inside, tunnel) is not None
        method.ended.append(tunnel)
        assert made.again(proof, inside, tunnel) is None
    finally:
        made.stop()


async def test_switched_off_everybody_is_anonymous(keys):
    router = AuthRouter([keys], enabled=False, clock=SystemClock())
    router.start()
    assert router.usable()
    for fields in ((), (("X-API-Key", "wrong"),), (("X-API-Key", "a"), ("X-API-Key", "b"))):
        identity, decision = await ask(router, *fields)
        assert identity == Identity(user="anonymous", method="none")
        assert decision.outcome == "anonymous"
    router.stop()


async def test_nothing_is_accepted_before_start(keys, store):
    _, key = store.create("alice")
    router = AuthRouter([keys], enabled=True, clock=SystemClock())
    assert not router.usable()
    assert isinstance(await refused(router, api_key(key)), Unavailable)
    router.stop()


async def test_a_refusal_carries_its_decision(router, store, failures):
    _, key = store.create("alice")
    store.revoke("alice")
    error = await refused(router, api_key(key))
    decision = decision_of(error)
    assert (decision.router, decision.input, decision.outcome) == ("auth", "x-api-key", "revoked")
    assert decision.reason == "The credential is not valid."
    assert failures == [("api_key", "revoked")]
    assert decision_of(InternalError("x")) is None


async def test_every_refusal_is_counted_by_method_and_reason(router, store, failures):
    _, alice = store.create("alice")
    _, bob = store.create("bob")
    text = alice.reveal()
    for fields in (
        (),
        (("X-API-Key", "sk-x"),),
        (("X-API-Key", text[:-1]),),
        (api_key(new_key()[1]),),
        (api_key(alice), ("api-key", bob.reveal())),
    ):
        await refused(router, *fields)
    assert failures == [
        ("none", "missing"),
        ("none", "unrecognised"),
        ("api_key", "malformed"),
        ("api_key", "unknown_key"),
        ("api_key", "conflict"),
    ]


async def test_the_log_tells_everything_but_the_value(router, store, caplog):
    """R1: a fingerprint compares two lines, and leads to no value; another process makes another one."""
    caplog.set_level(logging.DEBUG)
    _, key = store.create("alice")
    store.revoke("alice")
    errors = [
        await refused(router, api_key(key)),
        await refused(router, ("Authorization", f"Bearer {key.reveal()}")),
        await refused(router, ("X-API-Key", "canary-value")),
        await refused(router, api_key(new_key()[1])),
    ]
    lines = [record for record in caplog.records if record.message == "auth_failed"]
    assert [line.reason for line in lines] == ["revoked", "revoked", "unrecognised", "unknown_key"]
    assert [line.slots for line in lines] == ["x-api-key", "authorization", "x-api-key", "x-api-key"]
    assert {line.source for line in lines} == {"10.2.3.4"}
    fingerprints = [line.fp for line in lines]
    assert all(len(each) == 8 for each in fingerprints)
    assert fingerprints[0] == fingerprints[1]
    assert len(set(fingerprints)) == 3
    everything = json.dumps([vars(line) for line in caplog.records], default=repr)
    everything += repr([(vars(error), error.sentence) for error in errors])
    for secret in (key.reveal(), key.reveal().rpartition("_")[2], "canary-value"):
        assert secret not in everything


async def test_a_value_of_odd_bytes_is_refused_and_logged(router, caplog):
    assert (await refused(router, ("X-API-Key", "llmauth_\udcff\udcfe"))).reason == "malformed"
    assert (await refused(router, ("Authorization", "Bearer \udcff"))).reason == "unrecognised"
    assert len(caplog.records) >= 2


@pytest.fixture
def slow():
    return Slow()


@pytest.fixture
def crowded(keys, slow):
    made = AuthRouter([keys, slow], enabled=True, clock=SystemClock(), workers=2, queue_limit=3)
    made.start()
    yield made
    slow.go.set()
    made.stop()


async def test_one_value_is_computed_once_for_all_who_wait(crowded, slow):
    waiting = [
        asyncio.create_task(ask(crowded, ("X-API-Key", "slow")))
        if n % 2
        else asyncio.create_task(ask(crowded, ("api-key", "slow")))
        for n in range(100)
    ]
    await asyncio.sleep(0.05)
    waiting[0].cancel()
    slow.go.set()
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert slow.calls == ["slow"]
    assert isinstance(answers[0], asyncio.CancelledError), "one who leaves takes the answer from nobody"
    assert [answer[0].user for answer in answers[1:] if isinstance(answer, tuple)] == ["slow"] * 99


async def test_each_who_waited_gets_a_refusal_of_its_own(crowded, slow):
    slow.error = Unauthenticated("no", reason="bad_key", detail="d")
    waiting = [asyncio.create_task(refused(crowded, ("X-API-Key", "slow"))) for _ in range(3)]
    await asyncio.sleep(0.05)
    slow.go.set()
    errors = await asyncio.gather(*waiting)
    assert slow.calls == ["slow"]
    assert len({id(error) for error in errors}) == 3
    assert {(error.reason, error.detail) for error in errors} == {("bad_key", "d")}
    assert len({id(decision_of(error)) for error in errors}) == 3


async def test_too_many_wait_and_a_known_key_is_not_touched(crowded, slow, store):
    _, key = store.create("alice")
    await ask(crowded, api_key(key))
    waiting = [asyncio.create_task(ask(crowded, ("X-API-Key", f"slow{n}"))) for n in range(5)]
    await asyncio.sleep(0.05)
    error = await refused(crowded, ("X-API-Key", "slow-more"))
    assert isinstance(error, Unavailable)
    assert (error.status, error.retry_after) == (503, 1)
    began = time.perf_counter()
    answer = crowded.recall(request(api_key(key)))
    assert not isinstance(answer, Pending)
    assert time.perf_counter() - began < 0.05
    slow.go.set()
    await asyncio.gather(*waiting)
    assert (await ask(crowded, ("X-API-Key", "slow-more")))[0].user == "slow-more"


async def test_a_fault_of_ours_lets_nobody_in(crowded, slow):
    slow.error = RuntimeError("a fault")
    slow.go.set()
    with pytest.raises(RuntimeError):
        await ask(crowded, ("X-API-Key", "slow"))
    with pytest.raises(RuntimeError):
        await ask(crowded, ("X-API-Key", "slow"))


async def test_the_first_method_that_recognises_a_value_is_the_only_one_asked(slow, keys):
    class Greedy(Slow):
        name = "greedy"

    greedy = Greedy()
    router = AuthRouter([keys, slow, greedy], enabled=True, clock=SystemClock())
    router.start()
    slow.error = Unauthenticated("no", reason="bad_key")
    slow.go.set()
    greedy.go.set()
    assert (await refused(router, ("X-API-Key", "slow"))).reason == "bad_key"
    assert greedy.calls == []
    router.stop()


async def test_a_tunnel_that_ends_while_another_credential_is_computed(crowded, slow, store, keys):
    _, key = store.create("slow")
    tunnel = (await ask(crowded, proxy(key), door=Door.CONNECT))[0]
    waiting = asyncio.create_task(refused(crowded, ("X-API-Key", "slow"), tunnel=tunnel, door=Door.TUNNEL))
    await asyncio.sleep(0.05)
    store.revoke("slow")
    while still_valid(keys, tunnel):
        await asyncio.sleep(0.01)
    slow.go.set()
    assert (await waiting).reason == "revoked"


async def test_two_hundred_wrong_keys_do_not_stop_the_loop(router, store):
    """Security figure: 200 parallel wrong keys, a good client p95 < 1 s and /health p95 < 250 ms."""
    _, key = store.create("alice")
    await ask(router, api_key(key))
    attack = [asyncio.create_task(refused(router, api_key(new_key()[1]))) for _ in range(200)]
    gaps, good = [], []
    while not all(each.done() for each in attack):
        began = time.perf_counter()
        await asyncio.sleep(0)
        gaps.append(time.perf_counter() - began)
        began = time.perf_counter()
        assert not isinstance(router.recall(request(api_key(key))), Pending)
        good.append(time.perf_counter() - began)
    assert {type(each.result()) for each in attack} <= {Unauthenticated, Unavailable}
    assert sorted(gaps)[int(len(gaps) * 0.95)] < 0.25
    assert sorted(good)[int(len(good) * 0.95)] < 0.25


async def test_the_first_wrong_value_ends_the_work(crowded, slow):
    """A stranger makes us compute once a request, however many slots are filled."""
    slow.error = Unauthenticated("no", reason="bad_key")
    slow.go.set()
    fields = [(name, f"slow-{name}") for name in ("x-api-key", "api-key", "x-goog-api-key")]
    assert (await refused(crowded, *fields)).reason == "bad_key"
    assert slow.calls == ["slow-x-api-key"]


async def test_a_thousand_first_time_callers_after_a_restart_are_all_let_in(keys, store):
    """A4: the queue holds them all, and each waits its turn."""
    made = [store.create(f"k{n}")[1] for n in range(200)]
    router = AuthRouter([keys], enabled=True, clock=SystemClock())
    router.start()
    answers = await asyncio.gather(*(ask(router, api_key(key)) for key in made))
    assert [identity.user for identity, _ in answers] == [f"k{n}" for n in range(200)]
    assert QUEUE_LIMIT >= 1000
    router.stop()


async def test_conflicts_are_forbidden(router, store):
    _, alice = store.create("alice")
    _, second = store.create("second", user="alice")
    error = await refused(router, api_key(alice), ("api-key", second.reveal()))
    assert isinstance(error, Forbidden)
    assert (await ask(router, api_key(alice), ("api-key", alice.reveal()), proxy(alice)))[0].user == "alice"


async def test_a_proof_that_is_kept_shows_no_key(router, store):
    _, key = store.create("alice")
    sent = request(api_key(key))
    pending = router.recall(sent)
    answer = await router.authenticate(pending)
    proof = router.proof(sent, None, answer)
    assert proof is not None
    assert router.again(proof, sent, None) == answer
    assert key.reveal() not in repr(proof)
