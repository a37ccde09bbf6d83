"""The method `alb` against a region's key endpoint over TLS: what the load balancer says, and whoever imitates it."""

from __future__ import annotations

import contextlib
import json
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from llmauth.authenticators.alb import AlbOptions, LoadBalancer
from llmauth.authenticators.base import Presented, Slot
from llmauth.clock import ManualClock
from llmauth.context import Identity
from llmauth.errors import GatewayError, Unauthenticated, Unavailable
from tests.emulators.issuer import reaching
from tests.emulators.load_balancer import ARN, REGION, LoadBalancerKeys, padded
from tests.fixtures.alb_forgeries import alb_forgeries
from tests.fixtures.forgeries import b64
from tests.fixtures.methods import surroundings

PEER = "10.1.2.3"
LEAST = {"type": "alb", "region": REGION, "signer": ARN, "trusted_peers": ["10.1.0.0/16", "fd00::/8"]}
Make = Callable[..., LoadBalancer]


def shown(field: str, source: str = PEER, slot: Slot = Slot.OIDC_DATA) -> Presented:
    return Presented(slot=slot, value=field, source=source)


def judged(method: LoadBalancer, field: str, source: str = PEER) -> Identity | None:
    presented = shown(field, source)
    if not method.recognises(presented):
        return None
    return method.recall(presented) or method.authenticate(presented)


def refusal(method: LoadBalancer, field: str) -> GatewayError:
    with pytest.raises(GatewayError) as refused:
        judged(method, field)
    return refused.value


def reason(method: LoadBalancer, field: str) -> str:
    error = refusal(method, field)
    assert isinstance(error, Unauthenticated)
    return error.reason


@pytest.fixture
def keys() -> Iterator[LoadBalancerKeys]:
    with LoadBalancerKeys() as service:
        yield service


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(wall=time.time())


@pytest.fixture
def make(keys: LoadBalancerKeys, clock: ManualClock, tmp_path: Path) -> Make:
    def one(**options: Any) -> LoadBalancer:
        around = surroundings(None, clock, outbound=reaching(tmp_path, [keys]))  # type: ignore[arg-type]
        return LoadBalancer(AlbOptions.model_validate({**LEAST, **options}), around)

    return one


# ---- what it says ----------------------------------------------------------------------------------------------------


def test_it_says_who_is_logged_in(make: Make, keys: LoadBalancerKeys) -> None:
    header = keys.header()
    field = keys.field(header, **{"cognito:groups": ["team-a"]})
    identity = judged(make(claims={"groups": "cognito:groups"}), field)
    assert identity == Identity(user="alice", method="alb", groups=("team-a",), expires_at=float(header["exp"]))
    assert [call.target for call in keys.calls] == [f"/{keys.kid}"]


@pytest.mark.parametrize("more", range(4))
def test_padding_as_aws_writes_it_and_without(make: Make, keys: LoadBalancerKeys, more: int) -> None:
    """The signature is over the parts with their padding, as they came."""
    method = make()
    field = keys.field(name="x" * more)
    assert judged(method, field) is not None
    bare = [part.rstrip("=") for part in field.split(".")]
    if ".".join(bare[:2]) != field.rpartition(".")[0]:  # without it, it is another text than the one that was signed
        assert reason(method, ".".join(bare)) == "bad_key"
    signed = ".".join(bare[:2])
    signature = jwt.get_algorithm_by_name("ES256").sign(signed.encode(), keys.keys[keys.kid])
    assert judged(method, f"{signed}.{b64(signature)}") is not None


def test_the_second_time_is_memory_and_so_is_the_key(make: Make, keys: LoadBalancerKeys) -> None:
    method, field = make(), keys.field()
    first = judged(method, field)
    assert method.recall(shown(field)) is first
    judged(method, keys.field(sub="bob"))
    assert len(keys.calls) == 1


def test_it_ends_with_the_field(make: Make, keys: LoadBalancerKeys, clock: ManualClock) -> None:
    method, field = make(), keys.field()
    identity = judged(method, field)
    assert identity is not None
    assert method.current(identity) is identity
    clock.advance(121)
    assert reason(method, field) == "expired"
    with pytest.raises(Unauthenticated):
        method.current(identity)
    with pytest.raises(Unauthenticated):
        method.authenticate(shown(field))


def test_several_load_balancers(make: Make, keys: LoadBalancerKeys) -> None:
    other = ARN.replace("app/llm", "app/blue")
    method = make(signer=[ARN, other])
    assert judged(method, keys.field(keys.header(signer=other))) is not None
    assert reason(method, keys.field(keys.header(signer=ARN.replace("app/llm", "app/red")))) == "not_allowed"


def test_another_address_of_the_keys(make: Make, keys: LoadBalancerKeys) -> None:
    """GovCloud, and a VPC's own endpoint."""
    assert judged(make(key_url=f"https://{keys._names[0]}/"), keys.field()) is not None
    assert keys.calls[0].target == f"/{keys.kid}"


# ---- whoever imitates it ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "source",
    [
        "10.2.0.1",
        "127.0.0.1",
        "::1",
        "192.168.1.1",
        "10.1.2.3.4",
        "",
        "unix",
        "::ffff:10.2.0.1",
        "10.1.2.3:80",
        "10.1.2",
    ],
)
def test_from_any_other_peer_it_is_a_field_like_any_other(make: Make, keys: LoadBalancerKeys, source: str) -> None:
    """A3: a right one too; it is no credential there, and is stripped."""
    assert not make().recognises(shown(keys.field(), source))
    assert keys.calls == []


@pytest.mark.parametrize("source", ["10.1.0.0", "10.1.255.255", "::ffff:10.1.2.3", "fd12::1", "fd12::1%eth0"])
def test_from_its_own_subnets_it_is_judged(make: Make, keys: LoadBalancerKeys, source: str) -> None:
    assert judged(make(), keys.field(), source) is not None


def test_in_no_other_slot(make: Make, keys: LoadBalancerKeys) -> None:
    field = keys.field()
    assert {slot for slot in Slot if make().recognises(shown(field, slot=slot))} == {Slot.OIDC_DATA}


@pytest.mark.parametrize("value", ["", " ", "x", "a.b.c", "null", "e30=.e30=.", "\x00", "\udcff", "e" * 20_000])
def test_what_is_no_field_is_wrong_and_no_placeholder(make: Make, value: str) -> None:
    """An empty one too: of two in one request, none is believed."""
    assert reason(make(), value) == "malformed"


@pytest.mark.parametrize(
    ("others", "why"),
    [
        ({"alg": "none"}, "malformed"),
        ({"alg": "HS256"}, "malformed"),
        ({"alg": "ES384"}, "malformed"),
        ({"alg": "RS256"}, "malformed"),
        ({"alg": None}, "malformed"),
        ({"alg": ["ES256"]}, "malformed"),
        ({"crit": ["exp"]}, "malformed"),
        ({"b64": False}, "malformed"),
        ({"cty": "JWT"}, "malformed"),
        ({"signer": None}, "not_allowed"),
        ({"signer": ARN + "0"}, "not_allowed"),
        ({"signer": ARN.upper()}, "not_allowed"),
        ({"signer": [ARN]}, "not_allowed"),
        ({"signer": ARN.replace("111122223333", "444455556666")}, "not_allowed"),
        ({"kid": None}, "malformed"),
        ({"kid": 7}, "malformed"),
        ({"kid": ""}, "malformed"),
        ({"kid": "../../" + "a" * 30}, "malformed"),
        ({"kid": "a" * 35}, "malformed"),
        ({"kid": "A" * 36}, "malformed"),
        ({"kid": "a" * 36 + "\n"}, "malformed"),
        ({"kid": "0123456789abcdef0123456789abcdef?x=1"}, "malformed"),
        ({"kid": "0123456789abcdef0123456789abcdef/../"}, "malformed"),
        ({"exp": None}, "malformed"),
        ({"exp": "4000000000"}, "malformed"),
        ({"exp": True}, "malformed"),
        ({"exp": -1}, "malformed"),
        ({"exp": 1_000_000_000}, "expired"),
        ({"exp": 0}, "expired"),
    ],
)
def test_headers_that_it_never_writes(make: Make, keys: LoadBalancerKeys, others: dict[str, Any], why: str) -> None:
    assert reason(make(), keys.field(keys.header(**others))) == why
    assert keys.calls == []  # nobody is asked for the key of such a one


@pytest.mark.parametrize(
    "claims", [{"sub": None}, {"sub": 7}, {"sub": "a b"}, {"sub": ""}, {"groups": {"a": 1}}, {"exp": 5}]
)
def test_claims_that_name_nobody(make: Make, keys: LoadBalancerKeys, claims: dict[str, Any]) -> None:
    assert reason(make(), keys.field(**claims)) in ("not_allowed", "malformed")


def test_signatures_of_strangers(make: Make, keys: LoadBalancerKeys) -> None:
    method, good = make(), keys.field()
    head, body, tail = good.split(".")
    stranger = ec.generate_private_key(ec.SECP256R1())
    other = keys.field(sub="root").split(".")
    forged = [
        keys.field(key=stranger),
        keys.field(keys.header(jwk={"kty": "EC"}, jku="https://evil.example"), key=stranger),
        f"{head}.{other[1]}.{tail}",
        f"{head}.{body}.{other[2]}",
        f"{head}.{body}.",
        *(f"{head}.{body}.{padded(value)}" for value in (b"\x00" * 64, b"\xff" * 64, b"\x01" * 63, b"", b"\x00")),
    ]
    for field in forged:
        assert reason(method, field) in ("bad_key", "malformed")
    assert judged(method, good) is not None


def test_forgeries(make: Make, keys: LoadBalancerKeys) -> None:
    """Hundreds of fields by header, key, claim, signature and encoding: nobody is behind any of them."""
    method = make()
    believed, count = [], 0
    for what, field in alb_forgeries(keys):
        count += 1
        with contextlib.suppress(Unauthenticated):
            believed.append((what, judged(method, field)))
    assert believed == []
    assert count >= 200
    assert judged(method, keys.field()) is not None
    assert len(keys.calls) == 3, "the key that is there, and two that are not"


def test_the_public_key_is_no_secret_of_hmac(make: Make, keys: LoadBalancerKeys) -> None:
    pem = keys.keys[keys.kid].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    header = keys.header(alg="HS256")
    signed = f"{padded(json.dumps(header).encode())}.{padded(b'{}')}"
    import hashlib
    import hmac

    forged = f"{signed}.{padded(hmac.digest(pem, signed.encode(), hashlib.sha256))}"
    assert reason(make(), forged) == "malformed"


def test_a_member_twice(make: Make, keys: LoadBalancerKeys) -> None:
    claims = b'{"sub": "alice", "sub": "root"}'
    signed = f"{padded(json.dumps(keys.header()).encode())}.{padded(claims)}"
    signature = jwt.get_algorithm_by_name("ES256").sign(signed.encode(), keys.keys[keys.kid])
    assert reason(make(), f"{signed}.{padded(signature)}") == "malformed"


def test_whatever_is_written_there(make: Make) -> None:
    method = make()

    @settings(max_examples=200, deadline=None)
    @given(st.text(max_size=200))
    def check(text: str) -> None:
        with pytest.raises(Unauthenticated):
            judged(method, text)

    check()


def test_nothing_of_it_is_told(make: Make, keys: LoadBalancerKeys, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    error = refusal(make(), keys.field(sub="canary of 7f3a", email="canary-7f3a"))
    assert "canary" not in f"{error} {error.detail} {caplog.text}"


# ---- keys ------------------------------------------------------------------------------------------------------------


def test_a_new_key_is_fetched_when_it_is_named(make: Make, keys: LoadBalancerKeys) -> None:
    method = make()
    judged(method, keys.field())
    keys.rotate()
    assert judged(method, keys.field()) is not None
    assert len(keys.calls) == 2


def test_ids_that_are_made_up_make_few_fetches(make: Make, keys: LoadBalancerKeys, clock: ManualClock) -> None:
    method = make()
    for number in range(40):
        kid = f"00000000-0000-4000-8000-{number:012x}"
        error = refusal(method, keys.field(keys.header(kid=kid)))
        assert isinstance(error, Unauthenticated | Unavailable)
    assert len(keys.calls) == 10
    known = keys.field(keys.header(kid="00000000-0000-4000-8000-000000000000"))
    assert reason(method, known) == "unknown_key"
    clock.advance(31)
    assert judged(method, keys.field()) is not None


@pytest.mark.parametrize("fault", ["down", "garbage", "broken"])
def test_an_outage_of_the_keys(make: Make, keys: LoadBalancerKeys, clock: ManualClock, fault: Any) -> None:
    """F2: what is known stays good for a day, what is not is 503, and all is well within seconds."""
    method = make()
    judged(method, keys.field())
    known = keys.kid
    keys.rotate()
    if fault == "down":
        keys.stop()
    else:
        keys.fault = fault
    assert isinstance(refusal(method, keys.field()), Unavailable)
    keys.kid, new = known, keys.kid
    clock.advance(3_601)
    assert judged(method, keys.field(keys.header(exp=int(clock.wall()) + 60))) is not None
    clock.advance(83_000)
    assert isinstance(refusal(method, keys.field(keys.header(exp=int(clock.wall()) + 60))), Unavailable)
    if fault == "down":
        keys.start()
    keys.fault = None
    keys.kid = new
    clock.advance(15)
    assert judged(method, keys.field(keys.header(exp=int(clock.wall()) + 60))) is not None


def test_nobody_waits_for_keys_that_could_not_be_fetched(
    make: Make, keys: LoadBalancerKeys, clock: ManualClock
) -> None:
    method = make()
    keys.fault = "broken"
    for _ in range(20):
        assert isinstance(refusal(method, keys.field(sub="a")), Unavailable)
        keys.rotate()
        clock.advance(0.1)
    assert len(keys.calls) == 1


def test_a_key_of_another_kind_is_none(make: Make, keys: LoadBalancerKeys) -> None:
    keys.keys[keys.kid] = ec.generate_private_key(ec.SECP384R1())
    assert isinstance(refusal(make(), keys.field(key=ec.generate_private_key(ec.SECP256R1()))), Unavailable)
    keys.keys[keys.kid] = rsa.generate_private_key(public_exponent=65537, key_size=2048)  # type: ignore[assignment]
    assert isinstance(refusal(make(), keys.field(key=ec.generate_private_key(ec.SECP256R1()))), Unavailable)


# ---- options ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "more",
    [
        {"region": "evil.example/"},
        {"region": "us-east-1.evil"},
        {"region": ""},
        {"signer": "arn:aws:elasticloadbalancing:*"},
        {"signer": []},
        {"signer": "llm"},
        {"signer": ARN.replace("/app/", "/net/")},
        {"trusted_peers": []},
        {"trusted_peers": ["0.0.0.0/0"]},
        {"trusted_peers": ["::/0"]},
        {"trusted_peers": ["10.0.0.1/8"]},
        {"trusted_peers": ["alb.internal"]},
        {"trusted_peers": [1]},
        {"key_url": "http://evil.example"},
        {"audience": "x"},
    ],
)
def test_options_that_would_open_a_door(more: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        AlbOptions.model_validate({**LEAST, **more})


@pytest.mark.parametrize(
    "region", ["us-east-1", "eu-west-1", "ap-southeast-2", "us-gov-west-1", "cn-north-1", "us-iso-east-1"]
)
def test_regions(region: str) -> None:
    assert AlbOptions.model_validate({**LEAST, "region": region}).region == region
