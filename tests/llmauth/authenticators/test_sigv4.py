"""Signatures as a method of authentication: what is a claim of ours, what the head tells, and what the body proves."""

from __future__ import annotations

import random
import time
from typing import Any, cast

import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from llmauth.authenticators.base import Presented, Slot, wrong
from llmauth.authenticators.pairs import METHOD
from llmauth.authenticators.sigv4 import Promise, Signatures, Sigv4Options
from llmauth.clock import ManualClock
from llmauth.context import Identity
from llmauth.errors import Unauthenticated, Unavailable
from llmauth.http import Door, Headers, Request, Url
from llmauth.secrets import Secret
from tests.fixtures.methods import surroundings

ACCESS, SECRET = "LLMA234567ABCDEFGHIJ", Secret("a-secret-of-forty-letters-and-some-more0")
ALICE = Identity(user="alice", method=METHOD, key_id=ACCESS)
HOST, PATH, BODY = "bedrock-runtime.us-east-1.amazonaws.com", "/model/x%3A0/converse", b'{"messages":[]}'


class Pairs:
    """One pair, or what goes wrong with it."""

    def __init__(self) -> None:
        self.error: Exception | None = None

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def usable(self) -> bool:
        return self.error is None

    def secret_of(self, access_key_id: str) -> tuple[Secret, Identity] | None:
        if self.error is not None:
            raise self.error
        return (SECRET, ALICE) if access_key_id == ACCESS else None


@pytest.fixture
def pairs() -> Pairs:
    return Pairs()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(wall=time.time())


@pytest.fixture
def method(pairs: Pairs, clock: ManualClock) -> Signatures:
    return Signatures(Sigv4Options(type="sigv4"), surroundings(cast(Any, None), clock), pairs)


def signed(
    body: bytes = BODY, *, path: str = PATH, secret: Secret = SECRET, access: str = ACCESS, door: Door = Door.TUNNEL
) -> Request:
    theirs = AWSRequest("POST", f"https://{HOST}{path}", {"Content-Type": "application/json"}, body)
    SigV4Auth(Credentials(access, secret.reveal()), "bedrock", "us-east-1").add_auth(theirs)
    fields = [(b"Host", HOST.encode()), *((n.encode(), str(v).encode()) for n, v in theirs.headers.items())]
    return Request(method="POST", url=Url("https", HOST, 443, path), headers=Headers(fields), door=door)


def presigned(expires: int = 60) -> Request:
    theirs = AWSRequest("GET", f"https://{HOST}{PATH}", {}, b"")
    SigV4QueryAuth(Credentials(ACCESS, SECRET.reveal()), "bedrock", "us-east-1", expires=expires).add_auth(theirs)
    path = str(theirs.url).removeprefix(f"https://{HOST}")
    headers = Headers([(b"Host", HOST.encode())])
    return Request(method="GET", url=Url("https", HOST, 443, path), headers=headers, door=Door.TUNNEL)


def with_authorization(request: Request, *values: str) -> Request:
    kept = [field for field in request.headers.fields if field[0] != b"Authorization"]
    return request.altered(headers=Headers([*kept, *((b"Authorization", value.encode()) for value in values)]))


def promised(method: Signatures, request: Request) -> Promise:
    promise = method.promise(request)
    assert promise is not None
    return promise


def reason(method: Signatures, request: Request, body: bytes = BODY) -> str:
    with pytest.raises(Unauthenticated) as raised:
        promised(method, request).keep(body)
    assert raised.value.message == "The credential is not valid."
    return raised.value.reason


# ---- what is a claim of ours ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        f"AWS4-HMAC-SHA256 Credential={ACCESS}/20260101/us-east-1/x/aws4_request, SignedHeaders=host, Signature=0",
        f"AWS4-HMAC-SHA256 Credential={ACCESS}",
        "AWS4-HMAC-SHA256 Credential=LLMA",
        "aws4-hmac-sha256 credential=llma",
        f"AWS4-ECDSA-P256-SHA256 Credential={ACCESS}/x",
        f"AWS4-HMAC-SHA256 SignedHeaders=host, Signature=0, Credential={ACCESS}/x",
    ],
)
def test_it_is_recognised_by_the_beginning_of_the_id(method: Signatures, value: str) -> None:
    """Then it is judged, and a mistyped one is wrong instead of being a placeholder."""
    assert method.recognises(Presented(slot=Slot.AUTHORIZATION, value=value))
    assert reason(method, with_authorization(signed(), value)) in ("malformed", "unknown_key")


@pytest.mark.parametrize(
    "value",
    [
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20260101/us-east-1/bedrock/aws4_request, Signature=0",
        "AWS4-HMAC-SHA256 Credential=ASIA/x",
        f"Bearer AWS4-HMAC-SHA256 Credential={ACCESS}",
        f"AWS {ACCESS}:x",
        ACCESS,
        "AWS4-HMAC-SHA256",
        "",
        "AWS4-" + " " * 20_000,
        "AWS4-HMAC-SHA256 " + "Credential=" * 2_000,
    ],
)
def test_a_signature_of_somebody_elses_is_a_placeholder(method: Signatures, value: str) -> None:
    assert not method.recognises(Presented(slot=Slot.AUTHORIZATION, value=value))
    assert method.promise(with_authorization(signed(), value)) is None


@pytest.mark.parametrize("slot", [slot for slot in Slot if slot not in (Slot.AUTHORIZATION, Slot.PRESIGNED)])
def test_no_other_slot_holds_one(method: Signatures, slot: Slot) -> None:
    value = signed().headers.get("authorization") or ""
    assert not method.recognises(Presented(slot=slot, value=value))


def test_a_presigned_url_is_recognised_by_its_credential(method: Signatures) -> None:
    query = presigned().url.query
    assert method.recognises(Presented(slot=Slot.PRESIGNED, value=query))
    assert not method.recognises(Presented(slot=Slot.PRESIGNED, value=query.replace(ACCESS, "AKIA234567ABCDEFGHIJ")))
    assert not method.recognises(Presented(slot=Slot.PRESIGNED, value=f"x={ACCESS}"))


def test_a_value_alone_proves_nothing(method: Signatures) -> None:
    """Whoever took it for a key would let in the same header with another body."""
    presented = Presented(slot=Slot.AUTHORIZATION, value=signed().headers.get("authorization") or "")
    for ask in (method.recall, method.authenticate):
        with pytest.raises(Unauthenticated) as raised:
            ask(presented)
        assert raised.value.reason == "malformed"


# ---- a promise, and how it is kept ---------------------------------------------------------------------------------


def test_a_promise_is_kept_by_its_body_alone(method: Signatures) -> None:
    promise = promised(method, signed())
    assert promise.identity is ALICE
    assert promise.keep(BODY) is ALICE
    assert promise.kept(BODY) is None
    for body in (b"", BODY + b" ", BODY[:-1], BODY * 2, BODY.swapcase()):
        broken = promise.kept(body)
        assert broken is not None
        assert broken.reason == "bad_key"


def test_a_presigned_url_is_kept_by_no_body(method: Signatures) -> None:
    assert promised(method, presigned()).keep(b"") is ALICE
    assert reason(method, presigned(), b"x") == "bad_key"


@pytest.mark.parametrize("secret", ["", "A-secret-of-forty-letters-and-some-more0", ACCESS, SECRET.reveal()[:-1]])
def test_another_secret(method: Signatures, secret: str) -> None:
    assert reason(method, signed(secret=Secret(secret))) == "bad_key"


@pytest.mark.parametrize("access", ["LLMA", "LLMAAAAAAAAAAAAAAAAA", ACCESS.lower(), ACCESS + "A"])
def test_an_id_that_nobody_has(method: Signatures, access: str) -> None:
    assert reason(method, signed(access=access)) == "unknown_key"


def test_a_pair_that_ends_while_the_body_comes(method: Signatures, pairs: Pairs) -> None:
    """A5."""
    promise = promised(method, signed())
    pairs.error = wrong("revoked")
    broken = promise.kept(BODY)
    assert broken is not None
    assert broken.reason == "revoked"
    pairs.error = Unavailable("x")
    with pytest.raises(Unavailable):
        promise.kept(BODY)


def test_a_long_body_may_take_longer_than_a_signature_lives(method: Signatures, clock: ManualClock) -> None:
    promise = promised(method, signed())
    clock.advance(3600)
    assert promise.keep(BODY) is ALICE
    with pytest.raises(Unauthenticated) as raised:
        method.promise(signed())
    assert raised.value.reason == "expired"


def test_what_cannot_be_judged_now_is_no_wrong_signature(method: Signatures, pairs: Pairs) -> None:
    pairs.error = Unavailable("x")
    assert not method.usable()
    with pytest.raises(Unavailable):
        method.promise(signed())


def test_a_connect_carries_no_signature(method: Signatures) -> None:
    assert method.promise(signed(door=Door.CONNECT)) is None


@pytest.mark.parametrize("first", ["AWS4-HMAC-SHA256 Credential=AKIA/x", "Bearer x", ""])
def test_two_headers_are_one_too_many(method: Signatures, first: str) -> None:
    good = signed().headers.get("authorization") or ""
    for values in ((first, good), (good, first), (good, good)):
        with pytest.raises(Unauthenticated):
            method.promise(with_authorization(signed(), *values))


def test_a_header_and_a_query_are_one_too_many(method: Signatures) -> None:
    request = signed()
    with pytest.raises(Unauthenticated):
        method.promise(request.altered(url=request.url._replace(path=presigned().url.path)))


def test_the_identity_is_that_of_now(method: Signatures, pairs: Pairs) -> None:
    assert method.current(ALICE) is ALICE
    for gone in (Identity(user="alice", method=METHOD), Identity(user="alice", method=METHOD, key_id="LLMAX")):
        with pytest.raises(Unauthenticated) as raised:
            method.current(gone)
        assert raised.value.reason == "revoked"
    pairs.error = wrong("expired")
    with pytest.raises(Unauthenticated):
        method.current(ALICE)


def test_the_reason_holds_nothing_of_the_secret_or_the_request(method: Signatures) -> None:
    with pytest.raises(Unauthenticated) as raised:
        promised(method, signed(b"canary", secret=Secret("canary"))).keep(b"canary2")
    told = raised.value.sentence + str(raised.value.detail)
    assert "canary" not in told
    assert SECRET.reveal() not in told
    assert SECRET.reveal() not in repr(promised(method, signed()))


def test_no_byte_of_the_head_can_be_another_one(method: Signatures) -> None:
    """Any change of a signed header, the path or the method is wrong, or is of no meaning to anybody."""
    chance = random.Random(7)
    for _ in range(400):
        request = signed()
        fields = list(request.headers.fields)
        at = chance.randrange(1, len(fields))
        name, value = fields[at]
        place = chance.randrange(len(value))
        changed = value[:place] + bytes([chance.choice(b"0aZ/=,; ")]) + value[place + 1 :]
        if changed == value:
            continue
        fields[at] = (name, changed)
        try:
            promise = method.promise(request.altered(headers=Headers(fields)))
            identity = promise.keep(BODY) if promise is not None else None
        except Unauthenticated:
            identity = None
        assert identity is None, (name, changed)
