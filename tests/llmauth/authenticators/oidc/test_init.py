"""The method `oidc` against an issuer over TLS: who is let in, who never is, and what an outage of it means."""

from __future__ import annotations

import contextlib
import json
import logging
import threading
import time
import timeit
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmauth.authenticators.base import Presented, Slot
from llmauth.authenticators.compact import issuer_of
from llmauth.authenticators.oidc import OidcOptions, OpenId
from llmauth.authenticators.tokens import Tokens
from llmauth.clock import ManualClock
from llmauth.context import Identity
from llmauth.demo.certificates import Authority
from llmauth.errors import GatewayError, Unauthenticated, Unavailable
from llmauth.outbound import Outbound
from llmauth.secrets import Secret
from tests.emulators.issuer import AUDIENCE, HOST, Issuer, reaching
from tests.fixtures.forgeries import EC, RSA, b64, forgeries, prepare
from tests.fixtures.methods import surroundings

Make = Callable[..., OpenId]


def bearer(token: str, slot: Slot = Slot.AUTHORIZATION) -> Presented:
    return Presented(slot=slot, value=token, source="127.0.0.1")


def judged(method: OpenId, token: str) -> Identity | None:
    """As the router does it: `None` for what is none of this method's."""
    presented = bearer(token)
    if not method.recognises(presented):
        return None
    return method.recall(presented) or method.authenticate(presented)


def refusal(method: OpenId, token: str) -> GatewayError:
    with pytest.raises(GatewayError) as refused:
        judged(method, token)
    return refused.value


def reason(method: OpenId, token: str) -> str:
    error = refusal(method, token)
    assert isinstance(error, Unauthenticated)
    return error.reason


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with Issuer() as service:
        service.add("k1")
        yield service


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(wall=time.time())


@pytest.fixture
def make(issuer: Issuer, clock: ManualClock, tmp_path: Path) -> Iterator[Make]:
    """The method with these options, its keys fetched once; nothing fetches beside the test."""
    made = []

    def one(*, fetched: bool = True, outbound: Outbound | None = None, **options: Any) -> OpenId:
        given = {"type": "oidc", "issuer": issuer.issuer, "audience": [AUDIENCE], **options}
        around = surroundings(None, clock, outbound=outbound or reaching(tmp_path, [issuer]))  # type: ignore[arg-type]
        method = OpenId(OidcOptions.model_validate(given), around)
        if fetched:
            method._lease.tick()
        made.append(method)
        return method

    yield one
    for method in made:
        method.stop()


# ---- who is let in ---------------------------------------------------------------------------------------------------


def test_a_token_says_who_its_bearer_is(make: Make, issuer: Issuer) -> None:
    claims: dict[str, Any] = issuer.claims(groups=["team-a", "admins"])
    token = issuer.token(**claims)
    identity = judged(make(), token)
    assert identity is not None
    assert (identity.user, identity.method, identity.groups) == ("alice", "oidc", ("team-a", "admins"))
    assert identity.expires_at == float(claims["exp"])
    assert identity.key_id is None
    assert not identity.second_factor


def test_the_second_time_is_memory(make: Make, issuer: Issuer) -> None:
    method, token = make(), issuer.token()
    first = method.authenticate(bearer(token))
    asked = len(issuer.calls)
    assert method.recall(bearer(token)) is first
    assert len(issuer.calls) == asked


@pytest.mark.parametrize("alg", ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"])
def test_every_algorithm_that_is_configured_is_taken(make: Make, issuer: Issuer, alg: str) -> None:
    issuer.add("other", alg)
    token = issuer.token("other")
    assert judged(make(algorithms=[alg]), token) is not None
    others = ["ES384"] if alg != "ES384" else ["ES256"]
    assert reason(make(algorithms=others), token) == "not_allowed"


def test_without_a_kid_the_only_key_for_the_algorithm_is_meant(make: Make, issuer: Issuer) -> None:
    issuer.signers[None] = issuer.signers["k1"]
    issuer.add("ec", "ES256")
    token = issuer.token(None)
    assert judged(make(), token) is not None
    issuer.add("k2")
    assert reason(make(), token) == "unknown_key"


def test_slots_in_which_a_token_is_known(make: Make, issuer: Issuer) -> None:
    method, token = make(), issuer.token()
    known = {slot for slot in Slot if method.recognises(bearer(token, slot))}
    taken = {Slot.AUTHORIZATION, Slot.PROXY, Slot.API_KEY, Slot.AZURE_KEY, Slot.GOOGLE_KEY, Slot.SUBPROTOCOL}
    assert known == taken
    judged(method, token)
    assert {slot for slot in Slot if method.recognises(bearer(token, slot))} == taken


def test_tokens_of_others_are_placeholders(make: Make, issuer: Issuer) -> None:
    method = make()
    near = (f"{issuer.issuer}/", issuer.issuer.upper(), f"{issuer.issuer}.evil", "https://other", "", [issuer.issuer])
    for named in near:
        assert not method.recognises(bearer(issuer.token(iss=named)))
    for value in (
        "sk-placeholder",
        "unused",
        "",
        "a.b.c",
        "e.e.e",
        "eyJ.eyJ.x",
        "eyJhbGciOiJub25lIn0.e30.",
        "e" * 20_000,
    ):
        assert not method.recognises(bearer(value))


def test_a_token_of_ours_without_a_signature_is_no_placeholder(make: Make, issuer: Issuer) -> None:
    head, body, _ = issuer.token().split(".")
    assert make().recognises(bearer(f"{head}.{body}."))


def test_cognito_names_the_application_in_the_place_of_an_audience(make: Make, issuer: Issuer) -> None:
    method = make(audience=[], client_ids=["app-1"])
    access: dict[str, Any] = {"aud": None, "token_use": "access", "client_id": "app-1"}
    assert judged(method, issuer.token(**access)) is not None
    for other in (
        {"client_id": "app-2"},
        {"client_id": None},
        {"client_id": ["app-1"]},
        {"token_use": "id"},
        {"token_use": None},
    ):
        assert reason(method, issuer.token(**{**access, **other})) == "not_allowed"
    assert reason(method, issuer.token(aud="app-1", token_use="id")) == "not_allowed"
    assert judged(make(audience=["app-1"]), issuer.token(aud="app-1", token_use="id")) is not None
    assert reason(make(), issuer.token(**access)) == "not_allowed"


def test_required_claims(make: Make, issuer: Issuer) -> None:
    method = make(required={"scope": "llm", "tenant": "a", "mfa": True})
    good: dict[str, Any] = {"scope": "openid llm", "tenant": ["b", "a"], "mfa": True}
    assert judged(method, issuer.token(**good)) is not None
    for other in ({"scope": "llms"}, {"tenant": "aa"}, {"tenant": "a b"}, {"mfa": 1}, {"mfa": "True"}, {"mfa": None}):
        assert reason(method, issuer.token(**{**good, **other})) == "not_allowed"


def test_times(make: Make, issuer: Issuer, clock: ManualClock) -> None:
    now = clock.wall()
    method = make()
    assert judged(method, issuer.token(nbf=now + 50, iat=now + 50, exp=now + 1)) is not None
    assert judged(method, issuer.token(exp=now + 10 * 86_400)) is not None
    assert reason(method, issuer.token(exp=now)) == "expired"
    assert reason(method, issuer.token(nbf=now + 70)) == "not_allowed"
    assert reason(method, issuer.token(iat=now + 70)) == "not_allowed"


def test_an_identity_ends_with_its_token(make: Make, issuer: Issuer, clock: ManualClock) -> None:
    method, token = make(), issuer.token(exp=clock.wall() + 60)
    identity = judged(method, token)
    assert identity is not None
    clock.advance(59)
    assert method.current(identity) is identity
    clock.advance(1.1)
    for again in (
        lambda: method.recall(bearer(token)),
        lambda: method.current(identity),
        lambda: method.authenticate(bearer(token)),
    ):
        with pytest.raises(Unauthenticated) as ended:
            again()
        assert ended.value.reason == "expired"


def test_a_wall_clock_that_is_set_back_lengthens_no_proof(make: Make, issuer: Issuer, clock: ManualClock) -> None:
    """F3."""
    method, token = make(), issuer.token(exp=clock.wall() + 60)
    identity = judged(method, token)
    assert identity is not None
    clock.advance(61)
    clock._wall -= 3600
    for again in (lambda: method.recall(bearer(token)), lambda: method.current(identity)):
        with pytest.raises(Unauthenticated):
            again()


def test_an_identity_of_one_issuer_is_asked_of_any(make: Make, issuer: Issuer) -> None:
    """Several entries share their name, and the router keeps one of them by it."""
    identity = judged(make(), issuer.token())
    assert identity is not None
    other = make(fetched=False, issuer="https://other.example")
    assert other.current(identity) is identity


def test_two_issuers_take_their_own_tokens_alone(issuer: Issuer, clock: ManualClock, tmp_path: Path) -> None:
    with Issuer(host="other.example", authority=issuer.authority) as second:
        second.add("k1")
        around = surroundings(None, clock, outbound=reaching(tmp_path, [issuer, second]))  # type: ignore[arg-type]
        options = [OidcOptions(type="oidc", issuer=each.issuer, audience=(AUDIENCE,)) for each in (issuer, second)]
        methods = [OpenId(each, around) for each in options]
        for method in methods:
            method._lease.tick()
        for mine, service in zip(methods, (issuer, second), strict=True):
            assert judged(mine, service.token()) is not None
        assert [judged(methods[0], second.token()), judged(methods[1], issuer.token())] == [None, None]
        forged = second.token(iss=issuer.issuer)  # the right name, by a key of the same id of another issuer
        assert reason(methods[0], forged) == "bad_key"


# ---- who never is ----------------------------------------------------------------------------------------------------


def test_forgeries(make: Make, issuer: Issuer) -> None:
    """A7: algorithm, key, header, claim, signature and encoding: hundreds of tokens, and nobody behind any of them."""
    prepare(issuer)
    method = make()
    for kid in (RSA, EC):
        assert judged(method, issuer.token(kid)) is not None
    believed, count, recognised = [], 0, 0
    for what, token in forgeries(issuer):
        count += 1
        recognised += method.recognises(bearer(token))
        try:
            identity = judged(method, token)
        except Unauthenticated:
            continue
        if identity is not None:
            believed.append(what)
    assert believed == []
    assert count >= 500
    assert recognised >= 300  # most are judged, and not merely taken for something else


def test_forgeries_make_few_fetches(make: Make, issuer: Issuer) -> None:
    """Whoever makes up ids of keys makes us ask the issuer once in half a minute."""
    method = make()
    before = issuer.fetches()
    for number in range(50):
        issuer.signers[f"made-up-{number}"] = issuer.signers["k1"]
        assert reason(method, issuer.token(f"made-up-{number}")) == "unknown_key"
    assert issuer.fetches() == before + 1


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda data: data.decode("utf-8", "surrogateescape")))
def test_whatever_is_presented_never_raises_at_a_glance(text: str) -> None:
    assert issuer_of(text) is None
    assert issuer_of(f"eyJhbGciOiJub25lIn0.{text}.x") is None or text


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = ("aud", "exp", "nbf", "iat", "sub", "groups", "token_use", "cnf", "events", "client_id")


def test_nothing_unsigned_is_believed(make: Make) -> None:
    method = make()
    headers = st.dictionaries(st.sampled_from(("alg", "kid", "typ", "crit", "jwk")), JSON)

    @settings(max_examples=60, deadline=None)
    @given(header=headers, claims=JSON)
    def check(header: dict[str, Any], claims: Any) -> None:
        body = {**claims, "iss": f"https://{HOST}"} if isinstance(claims, dict) else claims
        token = f"{b64(json.dumps(header).encode())}.{b64(json.dumps(body).encode())}.{b64(b'x' * 256)}"
        with contextlib.suppress(Unauthenticated):
            assert judged(method, token) is None

    check()


def test_of_signed_claims_only_sound_ones_name_somebody(make: Make, issuer: Issuer) -> None:
    method = make()
    good = {"aud": st.just([AUDIENCE]), "sub": st.just("bob"), "exp": st.just(time.time() + 9)}

    @settings(max_examples=100, deadline=None)
    @given(others=st.fixed_dictionaries({}, optional={name: good.get(name, JSON) | JSON for name in NAMES}))
    def check(others: dict[str, Any]) -> None:
        payload = json.dumps({**issuer.claims(), **others}).encode()
        token = jwt.api_jws.encode(payload, issuer.signers["k1"][1], algorithm="RS256", headers={"kid": "k1"})
        try:
            identity = judged(method, token)
        except Unauthenticated:
            return
        assert identity is not None
        claims = json.loads(payload)
        assert claims["sub"] == identity.user
        assert claims["exp"] == identity.expires_at
        assert claims["exp"] > time.time() - 60
        assert AUDIENCE in claims["aud"]
        assert "cnf" not in claims

    check()


def test_nothing_of_a_token_is_told(make: Make, issuer: Issuer, caplog: pytest.LogCaptureFixture) -> None:
    """R1."""
    caplog.set_level(logging.DEBUG)
    method = make()
    for token in (issuer.token(sub="canary of 7f3a"), issuer.token(aud="canary-7f3a"), issuer.token() + "A"):
        error = refusal(method, token)
        assert isinstance(error, Unauthenticated)
        assert str(error) == "The credential is not valid."
        assert "canary" not in error.detail
        assert token[:40] not in error.detail
    assert "canary" not in caplog.text


# ---- keys that change, and an issuer that is away --------------------------------------------------------------------


def test_a_new_key_is_found_at_once(make: Make, issuer: Issuer) -> None:
    method = make()
    issuer.add("k2")
    assert judged(method, issuer.token("k2")) is not None


def test_the_second_new_key_of_half_a_minute_waits(make: Make, issuer: Issuer, clock: ManualClock) -> None:
    method = make()
    issuer.add("k2")
    judged(method, issuer.token("k2"))
    issuer.add("k3")
    token = issuer.token("k3")
    assert reason(method, token) == "unknown_key"
    clock.advance(30)
    assert judged(method, token) is not None


def test_a_key_that_is_taken_back_ends_what_it_proved(make: Make, issuer: Issuer, clock: ManualClock) -> None:
    method, token = make(), issuer.token()
    assert judged(method, token) is not None
    issuer.withdraw("k1")
    issuer.add("k2")
    clock.advance(3_700)
    method._lease.tick()
    fresh = issuer.token("k2", exp=clock.wall() + 600)
    late = issuer.token(exp=clock.wall() + 600)
    assert judged(method, fresh) is not None
    assert reason(method, late) == "unknown_key"


def test_a_proof_is_worth_nothing_once_its_key_is_gone(make: Make, issuer: Issuer, clock: ManualClock) -> None:
    method, token = make(), issuer.token(exp=clock.wall() + 86_000)
    judged(method, token)
    issuer.withdraw("k1")
    clock.advance(3_700)
    method._lease.tick()
    assert method.recall(bearer(token)) is None
    assert reason(method, token) == "unknown_key"


def test_a_tunnel_ends_with_the_key_that_opened_it(make: Make, issuer: Issuer, clock: ManualClock) -> None:
    """A5: whoever stole a key writes tokens that last for years, and keeps a connection open."""
    method, other = make(), make(fetched=False, issuer="https://other.example")
    identity = judged(method, issuer.token(exp=clock.wall() + 10**9))
    assert identity is not None
    issuer.withdraw("k1")
    clock.advance(3_700)
    assert other.current(identity) is identity
    method._lease.tick()
    for any_of_the_name in (method, other):
        with pytest.raises(Unauthenticated) as ended:
            any_of_the_name.current(identity)
        assert ended.value.reason == "revoked"
    assert "require" not in repr(identity)


def test_a_placeholder_stands_for_it_with_its_end(make: Make, issuer: Issuer, clock: ManualClock) -> None:
    identity = judged(make(), issuer.token(exp=int(clock.wall()) + 60, groups=["team-a"]))
    assert identity is not None
    tokens = Tokens(Secret("5a" * 32), clock)
    read, ends = tokens.read(tokens.issue(identity).text)
    assert (read.user, read.method, read.groups, ends) == ("alice", "oidc", ("team-a",), identity.expires_at)


def test_a_key_of_another_value_under_the_old_id(make: Make, issuer: Issuer, clock: ManualClock) -> None:
    method, token = make(), issuer.token(exp=clock.wall() + 86_000)
    judged(method, token)
    issuer.published.clear()
    issuer.add("other")
    issuer.published = [{**issuer.published[0], "kid": "k1"}]
    clock.advance(3_700)
    method._lease.tick()
    assert reason(method, token) == "bad_key"


@pytest.mark.parametrize("fault", ["down", "garbage", "refuse", "broken", "slow"])
def test_an_issuer_that_never_answered(
    make: Make, issuer: Issuer, clock: ManualClock, fault: Any, tmp_path: Path
) -> None:
    """F2: nobody is let in, nobody else is kept waiting, and it is noticed when the issuer is back."""
    if fault == "down":
        issuer.stop()
    else:
        issuer.fault = fault
    method = make(fetched=False)
    if fault != "slow":
        method._lease.tick()
    token = issuer.token()
    assert not method.usable()
    assert isinstance(refusal(method, token), Unavailable)
    assert judged(method, "sk-placeholder") is None
    if fault == "down":
        issuer.start()
    issuer.fault = None
    for _ in range(15):
        clock.advance(1)
        method._lease.tick()
    assert method.usable()
    assert judged(method, token) is not None


@pytest.mark.parametrize("fault", ["down", "garbage", "refuse", "broken"])
def test_keys_outlive_an_outage_for_a_day(make: Make, issuer: Issuer, clock: ManualClock, fault: Any) -> None:
    method = make()
    if fault == "down":
        issuer.stop()
    else:
        issuer.fault = fault
    clock.advance(3_600)
    method._lease.tick()
    assert method.usable()
    assert judged(method, issuer.token(exp=clock.wall() + 60)) is not None
    issuer.add("k2")
    assert isinstance(refusal(method, issuer.token("k2", exp=clock.wall() + 60)), Unavailable)
    clock.advance(86_400)
    method._lease.tick()
    assert not method.usable()
    assert isinstance(refusal(method, issuer.token(exp=clock.wall() + 60)), Unavailable)


def test_a_start_waits_for_nobody(make: Make, issuer: Issuer) -> None:
    issuer.fault = "slow"
    method = make(fetched=False)
    began = time.monotonic()
    method.start()
    assert time.monotonic() - began < 3  # the issuer is given four seconds
    assert isinstance(refusal(method, issuer.token()), Unavailable)
    issuer.stop()


def test_once_started_the_keys_come_by_themselves(make: Make, issuer: Issuer) -> None:
    method = make(fetched=False)
    method.start()
    ends = time.monotonic() + 5
    while not method.usable() and time.monotonic() < ends:
        time.sleep(0.01)
    assert judged(method, issuer.token()) is not None


def test_many_who_wait_cause_one_fetch(make: Make, issuer: Issuer) -> None:
    method = make()
    issuer.add("k2")
    tokens = [issuer.token("k2", sub=f"user-{number}") for number in range(20)]
    found: list[Identity | None] = []
    threads = [threading.Thread(target=lambda t=token: found.append(judged(method, t))) for token in tokens]
    before = issuer.fetches()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {identity.user for identity in found if identity} == {f"user-{number}" for number in range(20)}
    assert issuer.fetches() == before + 1


def test_a_certificate_of_a_stranger_is_not_believed(issuer: Issuer, make: Make, tmp_path: Path) -> None:
    stranger = tmp_path / "stranger.pem"
    stranger.write_bytes(Authority.create().pem)
    resolve = reaching(tmp_path, [issuer])._resolve
    method = make(outbound=Outbound(ca_file=stranger, resolve=resolve))
    assert not method.usable()
    assert isinstance(refusal(method, issuer.token()), Unavailable)


def test_what_it_costs(make: Make, issuer: Issuer) -> None:
    """A glance at what is no token, and a proof out of memory; generous, for a busy machine."""
    method, token = make(), issuer.token(groups=[f"group-{number}" for number in range(30)])
    judged(method, token)
    shown, key = bearer(token), bearer("sk-placeholder-0123456789")
    glance = min(timeit.repeat(lambda: method.recognises(key), number=2000, repeat=5)) / 2000
    warm = min(timeit.repeat(lambda: method.recognises(shown) and method.recall(shown), number=2000, repeat=5)) / 2000
    assert glance < 10e-6
    assert warm < 60e-6
