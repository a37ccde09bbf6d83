"""The offline way: by the cluster's own keys, and by every claim that matters."""

from __future__ import annotations

import time

import pytest

from llmauth.authenticators.service_account.claims import claimed
from llmauth.authenticators.service_account.cluster import Cluster
from llmauth.authenticators.service_account.keys import PATH, PublishedKeys
from llmauth.clock import ManualClock
from llmauth.errors import Unauthenticated, Unavailable
from llmauth.outbound import Outbound
from tests.fixtures.accounts import AUDIENCE, cluster


@pytest.fixture
def clock():
    return ManualClock(wall=float(int(time.time())))


@pytest.fixture
def both(clock, tmp_path):
    with cluster(clock.wall, tmp_path) as made:
        yield made


@pytest.fixture
def keys(both, clock):
    api, pod = both
    asked = Cluster(Outbound(), server=api.url, ca_file=pod.folder / "ca.crt", token_file=pod.folder / "token")
    published = PublishedKeys(asked, audience=AUDIENCE, issuer=lambda: api.issuer, clock=clock)
    published.lease.tick()
    return published


def judged(keys: PublishedKeys, token: str) -> str:
    found = claimed(token)
    assert found is not None
    return keys.account(token, found)


def test_a_token_is_judged_without_a_call(both, keys) -> None:
    api, _ = both
    token = api.token("team-a", "app", audiences=[AUDIENCE])
    before = len(api.calls)
    assert judged(keys, token) == "team-a/app"
    assert len(api.calls) == before
    assert api.calls[-1].path == PATH


def test_a_new_key_of_the_cluster_is_fetched_once(both, keys, clock) -> None:
    api, pod = both
    api.new_signing_key(keep=True)
    pod.new_token()
    clock.advance(1)
    assert judged(keys, api.token("team-a", "app", audiences=[AUDIENCE])) == "team-a/app"
    assert len([call for call in api.calls if call.path == PATH]) == 2


def test_unknown_keys_do_not_make_us_ask_again_and_again(both, keys) -> None:
    """A7: one look in half a minute, whatever callers write into `kid`."""
    api, _ = both
    claims = claimed(api.token("team-a", "app", audiences=[AUDIENCE])).token.payload
    for number in range(50):
        with pytest.raises(Unauthenticated):
            judged(keys, api.signed(claims, kid=f"k{number}"))
    assert len([call for call in api.calls if call.path == PATH]) <= 2


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"iss": "https://other"}, "not_allowed"),
        ({"aud": ["vault"]}, "not_allowed"),
        ({"sub": "system:serviceaccount:team-a:admin"}, "malformed"),
        ({"kubernetes.io": {"namespace": "team-b"}}, "malformed"),
        ({"kubernetes.io": "x"}, "malformed"),
        ({"exp": 1}, "expired"),
        ({"nbf": 2**40}, "not_allowed"),
    ],
)
def test_each_claim_is_judged(both, keys, change, reason) -> None:
    api, _ = both
    claims = dict(claimed(api.token("team-a", "app", audiences=[AUDIENCE])).token.payload)
    with pytest.raises(Unauthenticated) as refusal:
        judged(keys, api.signed(claims | change))
    assert refusal.value.reason == reason


def test_a_token_that_names_no_key_is_refused(both, keys) -> None:
    api, _ = both
    claims = claimed(api.token("team-a", "app", audiences=[AUDIENCE])).token.payload
    with pytest.raises(Unauthenticated):
        judged(keys, api.signed(claims, kid=None))


def test_without_keys_nobody_is_judged(both, clock) -> None:
    api, pod = both
    asked = Cluster(Outbound(), server=api.url, ca_file=pod.folder / "ca.crt", token_file=pod.folder / "none")
    published = PublishedKeys(asked, audience=AUDIENCE, issuer=lambda: api.issuer, clock=clock)
    published.lease.tick()
    assert not published.lease.usable()
    with pytest.raises(Unavailable):
        judged(published, api.token("team-a", "app", audiences=[AUDIENCE]))


def test_a_missing_role_is_told(both, clock, caplog) -> None:
    api, pod = both
    api.fault = "refuse"
    asked = Cluster(Outbound(), server=api.url, ca_file=pod.folder / "ca.crt", token_file=pod.folder / "token")
    PublishedKeys(asked, audience=AUDIENCE, issuer=lambda: api.issuer, clock=clock).lease.tick()
    assert "system:service-account-issuer-discovery" in caplog.records[-1].reason
