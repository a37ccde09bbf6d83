"""The method service_account in an emulated cluster: who is let in, for how long, and while the API is away."""

from __future__ import annotations

import time

import pytest
from pydantic import ValidationError

from llmauth.authenticators.base import Slot
from llmauth.authenticators.reach import PROBE_SECONDS
from llmauth.authenticators.service_account import ServiceAccountOptions, ServiceAccounts
from llmauth.clock import ManualClock
from llmauth.errors import Unauthenticated, Unavailable
from tests.emulators.kubernetes_api import KubernetesApi
from tests.fixtures.accounts import AUDIENCE, NO_STORE, cluster, confused, forged, let_in, method, shown, unsigned
from tests.fixtures.dials import watched
from tests.fixtures.methods import surroundings
from tests.fixtures.pages import configured, options_in, options_of

WAYS = ["token_review", "jwks"]
SIDECAR = "127.0.0.6"
MESH = {"trusted_peers": [f"{SIDECAR}/32"]}
APP = "spiffe://cluster.local/ns/team-a/sa/app"


@pytest.fixture
def clock():
    return ManualClock(wall=float(int(time.time())))


@pytest.fixture
def both(clock, tmp_path):
    with cluster(clock.wall, tmp_path) as made:
        yield made


@pytest.fixture
def make(both, clock):
    def made(**options):
        api, pod = both
        accounts = method(api, pod, clock, **options)
        accounts._learn_issuer()
        accounts._keys.lease.tick()
        return accounts

    return made


@pytest.fixture
def accounts(make):
    return make()


def reviews(api: KubernetesApi) -> int:
    return len([call for call in api.calls if call.path.endswith("tokenreviews")])


def refused(accounts, value: str) -> str:
    with pytest.raises(Unauthenticated) as refusal:
        let_in(accounts, shown(value))
    return refusal.value.reason


def is_nobody(accounts, value: str) -> bool:
    """Refused, or of no form of this method: then nothing is proved by it."""
    if not accounts.recognises(shown(value)):
        return True
    try:
        let_in(accounts, shown(value))
    except Unauthenticated:
        return True
    return False


# ---- tokens --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verify", WAYS)
def test_a_pod_is_let_in_by_its_projected_token(make, both, verify) -> None:
    api, _ = both
    token = api.token("team-a", "app", audiences=[AUDIENCE], pod="app-7d9f-x2")
    accounts = make(verify=verify)
    identity = let_in(accounts, shown(token))
    assert (identity.user, identity.method) == ("team-a/app", "service_account")
    assert identity.groups == ("system:serviceaccounts", "system:serviceaccounts:team-a")
    assert [let_in(accounts, shown(token)) for _ in range(5)] == [identity] * 5
    assert accounts.current(identity) == identity
    assert reviews(api) == (verify == "token_review")


@pytest.mark.parametrize("verify", WAYS)
def test_a_namespace_may_be_let_in_as_a_whole(make, both, verify) -> None:
    api, _ = both
    accounts = make(verify=verify)
    assert let_in(accounts, shown(api.token("team-b", "anything", audiences=[AUDIENCE]))).user == "team-b/anything"
    assert refused(accounts, api.token("team-c", "app", audiences=[AUDIENCE])) == "not_allowed"
    assert refused(accounts, api.token("team-a", "other", audiences=[AUDIENCE])) == "not_allowed"


@pytest.mark.parametrize("verify", WAYS)
def test_a_token_of_this_cluster_for_somebody_else_is_refused_and_no_placeholder(make, both, verify) -> None:
    """The confused deputy: whoever was given that token would be its pod here."""
    api, _ = both
    accounts = make(verify=verify)
    before = reviews(api)
    for audiences in (None, ["vault"], ["https://kubernetes.default.svc"]):
        assert refused(accounts, api.token("team-a", "app", audiences=audiences)) == "not_allowed"
    assert reviews(api) == before  # it is not shown to anybody either


def test_a_token_of_another_cluster_is_somebody_elses(accounts) -> None:
    with KubernetesApi(issuer="https://oidc.elsewhere.example/id/1") as other:
        assert not accounts.recognises(shown(other.token("team-a", "app", audiences=["sts.amazonaws.com"])))
        assert refused(accounts, other.token("team-a", "app", audiences=[AUDIENCE])) == "bad_key"


@pytest.mark.parametrize("verify", WAYS)
def test_hundreds_of_wrong_tokens_prove_nobody(make, both, verify) -> None:
    """A7 and row 3 of the acceptance checks: forged, confused, of others, for others, without sense."""
    api, _ = both
    accounts = make(verify=verify)
    right = api.token("team-a", "app", audiences=[AUDIENCE])
    with KubernetesApi(now=api.now, issuer=api.issuer) as other, watched() as dials:
        wrong = [*forged(right, other), *confused(api, right)]
        assert len(wrong) >= 140
        let_through = [name for name, token in wrong if not is_nobody(accounts, token)]
        if verify == "jwks":  # that an account was made anew, only the cluster knows
            let_through = [name for name in let_through if "'another'" not in name]
        assert other.calls == []
    assert let_through == []
    assert {dial.rpartition(":")[2] for dial in dials} <= {str(api.port)}
    assert let_in(accounts, shown(right)).user == "team-a/app"


@pytest.mark.parametrize(
    "value",
    [
        *("sk-placeholder", "", "eyJ", "eyJhbGciOiJSUzI1NiJ9.e30.AAAA", "llmauth_x", "Bearer eyJ"),
        unsigned({"sub": "alice", "aud": [AUDIENCE], "iss": "https://idp"}),
        unsigned({"sub": "system:serviceaccount:team-a:app", "aud": ["other"], "iss": "https://elsewhere"}),
        unsigned({"sub": "system:serviceaccount:team-a:app"}),
        unsigned({"sub": "system:serviceaccount:team-a:app", "aud": [AUDIENCE], "x": "y" * 17_000}),
    ],
)
def test_what_is_no_token_for_us_is_left_to_others(accounts, value) -> None:
    assert not accounts.recognises(shown(value))


def test_a_session_is_not_ours(accounts, both) -> None:
    assert not accounts.recognises(shown(both[0].token("team-a", "app", audiences=[AUDIENCE]), Slot.SESSION))


def test_an_api_server_that_knows_no_audiences_proves_nobody(accounts, both) -> None:
    """A7: the returned audience is checked."""
    api, _ = both
    api.knows_audiences = False
    token = api.token("team-a", "app", audiences=[AUDIENCE, api.issuer])
    assert refused(accounts, token) == "not_allowed"


def test_the_issuer_may_be_named(make, both) -> None:
    api, _ = both
    named = make(verify="jwks", issuer="https://oidc.other.example/id/1")
    assert refused(named, api.token("team-a", "app", audiences=[AUDIENCE])) == "not_allowed"


# ---- how long it counts --------------------------------------------------------------------------------------------


def test_a_living_account_never_sees_a_refusal_and_a_deleted_one_stops_within_a_minute(accounts, both, clock) -> None:
    api, pod = both
    identity = let_in(accounts, shown(api.token("team-a", "app", audiences=[AUDIENCE], life=36_000)))
    for step in range(720):  # two hours in a tunnel
        clock.advance(10)
        if step % 60 == 0:
            pod.new_token(life=3600)
        accounts._vouchers.renew_due()
        assert accounts.current(identity).user == "team-a/app"
    assert reviews(api) < 360
    api.delete_account("team-a", "app")
    for _ in range(6):
        clock.advance(10)
        accounts._vouchers.renew_due()
    with pytest.raises(Unauthenticated) as refusal:
        accounts.current(identity)
    assert refusal.value.reason == "revoked"


def test_a_token_that_is_bound_to_a_pod_ends_with_it(accounts, both, clock) -> None:
    """Before its own end, and though its account goes on. What is verified offline cannot know it, and counts on."""
    api, _ = both
    token = api.token("team-a", "app", audiences=[AUDIENCE], pod="app-1")
    identity = let_in(accounts, shown(token))
    api.delete_pod("app-1")
    clock.advance(26)
    accounts._vouchers.renew_due()
    with pytest.raises(Unauthenticated):
        accounts.current(identity)
    assert refused(accounts, token) == "bad_key"
    assert refused(accounts, api.token("team-a", "app", audiences=[AUDIENCE], pod="app-1")) == "bad_key"
    assert let_in(accounts, shown(api.token("team-a", "app", audiences=[AUDIENCE], pod="app-2"))).user == "team-a/app"


@pytest.mark.parametrize("verify", WAYS)
def test_nothing_outlives_its_token(make, both, clock, verify) -> None:
    api, _ = both
    accounts = make(verify=verify)
    token = api.token("team-a", "app", audiences=[AUDIENCE], life=600)
    identity = let_in(accounts, shown(token))
    clock.advance(601)
    for ended in (lambda: accounts.current(identity), lambda: accounts.recall(shown(token))):
        with pytest.raises(Unauthenticated) as refusal:
            ended()
        assert refusal.value.reason == "expired"


def test_a_key_that_the_cluster_took_back_proves_nobody_after_a_while(make, both, clock) -> None:
    api, pod = both
    accounts = make(verify="jwks")
    identity = let_in(accounts, shown(api.token("team-a", "app", audiences=[AUDIENCE])))
    api.new_signing_key()
    pod.new_token()
    clock.advance(301)
    accounts._keys.lease.tick()
    accounts._vouchers.renew_due()
    with pytest.raises(Unauthenticated):
        accounts.current(identity)


# ---- faults --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["slow", "garbage", "broken", "refuse", "down"])
def test_while_the_api_does_not_answer_nobody_new_is_let_in_and_those_known_are_for_a_minute(
    accounts, both, clock, fault
) -> None:
    """F2: down, slow, garbage, denied."""
    api, _ = both
    known = api.token("team-a", "app", audiences=[AUDIENCE])
    new = api.token("team-b", "new", audiences=[AUDIENCE])
    identity = let_in(accounts, shown(known))
    if fault == "down":
        api.stop()
    else:
        api.fault = fault
    with pytest.raises(Unavailable):
        let_in(accounts, shown(new))
    assert not accounts.usable()
    for _ in range(5):
        clock.advance(10)
        accounts._vouchers.renew_due()
        assert let_in(accounts, shown(known)) == accounts.current(identity) == identity
    clock.advance(11)
    with pytest.raises(Unavailable):
        accounts.current(identity)
    with pytest.raises(Unavailable):
        let_in(accounts, shown(known))
    api.fault = None
    if fault == "down":
        api.start()
    clock.advance(PROBE_SECONDS + 1)
    accounts._reach.look()  # what the method's own thread does twice a second
    accounts._vouchers.renew_due()
    assert accounts.usable()
    assert accounts.current(identity).user == "team-a/app"
    assert let_in(accounts, shown(new)).user == "team-b/new"


def test_while_the_api_is_silent_nobody_waits_for_it_but_the_first(accounts, both) -> None:
    api, _ = both
    api.fault = "slow"
    begun = time.monotonic()
    for number in range(30):
        with pytest.raises(Unavailable):
            let_in(accounts, shown(api.token("team-b", f"a{number}", audiences=[AUDIENCE])))
    assert time.monotonic() - begun < 2.0
    assert reviews(api) <= 2  # the first, and a look whether it was the token's fault


def test_our_own_missing_role_is_told_to_the_operator_and_not_to_the_caller(accounts, both, caplog) -> None:
    api, _ = both
    api.rules.clear()
    with pytest.raises(Unavailable) as refusal:
        let_in(accounts, shown(api.token("team-a", "app", audiences=[AUDIENCE])))
    assert "system:auth-delegator" in caplog.records[-1].reason
    assert "delegator" not in refusal.value.sentence


def test_our_own_token_is_renewed_without_a_failure(accounts, both) -> None:
    api, pod = both
    let_in(accounts, shown(api.token("team-a", "app", audiences=[AUDIENCE])))
    pod.new_token(life=7200)
    let_in(accounts, shown(api.token("team-b", "x", audiences=[AUDIENCE])))
    assert accounts.usable()


def test_its_threads_begin_and_end(make, both, clock) -> None:
    for verify in WAYS:
        accounts = make(verify=verify)
        accounts.start()
        assert accounts.usable()
        accounts.stop()


# ---- the mesh ------------------------------------------------------------------------------------------------------


@pytest.fixture
def by_mesh():
    """The method where no cluster is asked."""

    def made(allowed=("team-a/app", "team-b/*"), **options):
        told = {"type": "service_account", "allowed": list(allowed), **options}
        return ServiceAccounts(ServiceAccountOptions.model_validate(told), surroundings(NO_STORE, ManualClock()))

    return made


def forwarded(value: str, source: str = SIDECAR):
    return shown(value, Slot.FORWARDED_CERTIFICATE, source)


def test_a_sidecar_vouches_for_its_client(by_mesh) -> None:
    accounts = by_mesh(mesh=MESH)
    assert accounts.slots == {Slot.FORWARDED_CERTIFICATE}
    told = f'By=spiffe://cluster.local/ns/llmauth/sa/proxy;Hash=1;Subject="";URI={APP}'
    identity = let_in(accounts, forwarded(told))
    assert (identity.user, identity.groups[1]) == ("team-a/app", "system:serviceaccounts:team-a")
    assert accounts.current(identity) == identity


@pytest.mark.parametrize("source", ["127.0.0.1", "127.0.0.7", "10.0.0.1", "", "::1", "127.0.0.6.evil", "::ffff:7f00:1"])
def test_nobody_else_does(by_mesh, source) -> None:
    """A3: no identity header grants anything unless it comes from a configured trusted address."""
    assert not by_mesh(mesh=MESH).recognises(forwarded(f"URI={APP}", source))


def test_without_a_mesh_the_field_is_one_like_any_other(by_mesh) -> None:
    accounts = by_mesh()
    assert accounts.slots == frozenset()
    assert not accounts.recognises(forwarded(f"URI={APP}"))


@pytest.mark.parametrize(
    "value",
    [
        *("", ",", f"URI={APP},", f"URI={APP};URI={APP}", f"URI={APP};URI=spiffe://x/y", f'URI="{APP}', f" URI={APP}"),
        *(f"URI={APP}\x00", f"URI={APP}é", f"URI={APP}; URI={APP}", f"URI=spiffe://other/ns/a/sa/b;URI={APP}"),
    ],
)
def test_what_a_sidecar_would_not_write_is_refused(by_mesh, value) -> None:
    accounts = by_mesh(mesh=MESH)
    assert accounts.recognises(forwarded(value))
    with pytest.raises(Unauthenticated):
        accounts.recall(forwarded(value))


@pytest.mark.parametrize(
    "value",
    [
        f"URI={APP},Hash=1",  # what the client itself had sent, and then the sidecar's own word, about nobody
        f"URI={APP},URI=spiffe://cluster.local/ns/team-c/sa/x",
        f"URI={APP},URI=spiffe://other/ns/team-a/sa/app",
        "URI=spiffe://cluster.local.evil/ns/team-a/sa/app",
        f'Subject="URI={APP}"',
        f'Subject="x,URI={APP}"',
        f"DNS={APP}",
        f"By={APP}",
        "URI=spiffe://cluster.local/ns/team-a/sa/other",
    ],
)
def test_others_of_the_mesh_are_nobody_by_it(by_mesh, value) -> None:
    assert not by_mesh(mesh=MESH).recognises(forwarded(value))


def test_a_stranger_of_the_mesh_is_told_to_the_log_once(by_mesh, caplog) -> None:
    accounts = by_mesh(mesh=MESH)
    for _ in range(3):
        accounts.recognises(forwarded("URI=spiffe://cluster.local/ns/team-c/sa/x"))
    assert [record.account for record in caplog.records] == ["team-c/x"]


def test_a_mesh_that_is_no_longer_trusted_vouches_for_nobody(by_mesh) -> None:
    identity = let_in(by_mesh(mesh=MESH), forwarded(f"URI={APP}"))
    for other in (by_mesh(), by_mesh(mesh=MESH, allowed=["team-b/*"])):
        with pytest.raises(Unauthenticated):
            other.current(identity)


# ---- options -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "told",
    [
        *({"allowed": value} for value in ([], [""], ["*"], ["*/*"], ["*/app"], ["team-a"], ["team-a/"], ["/app"])),
        *({"allowed": value} for value in (["team-a/a*"], ["Team-a/app"], ["a/b/c"], ["team a/b"], ["", "a/b"], ",")),
        *(
            {"api_server": value}
            for value in ("http://api", "https://", "https://u@api", "https://api?x", "api", "https://a b")
        ),
        *({"audience": ""}, {"audience": "a b"}, {"verify": "none"}, {"issuer": ""}, {"mesh": {}}, {"mesh": True}),
    ],
)
def test_options_that_would_let_in_others_are_refused(told) -> None:
    right = {"type": "service_account", "allowed": "team-a/app, team-b/*"}
    assert ServiceAccountOptions.model_validate(right).allowed == ("team-a/app", "team-b/*")
    with pytest.raises(ValidationError):
        ServiceAccountOptions.model_validate(right | told)


def test_the_page_has_every_option_and_its_examples_are_right() -> None:
    assert options_of("service-accounts.md") == options_in(ServiceAccountOptions)
    shown = configured("service-accounts.md", "service_account")
    assert len(shown) == 2
    for entry in shown:
        ServiceAccountOptions.model_validate(entry)
