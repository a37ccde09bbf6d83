"""The method aws_iam over a strict STS: who is let in, for how long, and what happens while AWS does not answer."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from llmauth.authenticators.aws_iam import AwsIam, AwsIamOptions
from llmauth.authenticators.aws_iam.presigned import HEADER
from llmauth.authenticators.base import Presented, Slot
from llmauth.authenticators.reach import PROBE_SECONDS
from llmauth.authenticators.tokens import Tokens
from llmauth.clock import ManualClock
from llmauth.errors import Unauthenticated, Unavailable
from llmauth.outbound import Outbound
from llmauth.secrets import Secret
from tests.emulators.sts import Sts
from tests.fixtures.aws_tokens import ACCOUNT, ALICE, HOST, SERVER_ID, hostile, packed, token, token_for, unpacked
from tests.fixtures.dials import watched
from tests.fixtures.methods import surroundings
from tests.fixtures.pages import configured, options_in, options_of

BUILDER = f"arn:aws:sts::{ACCOUNT}:assumed-role/ci-build/session-1"
STRANGER = "arn:aws:sts::999999999999:assumed-role/AWSReservedSSO_Dev_0123456789abcdef/alice"
NO_STORE: Any = None


class Short(Outbound):
    """Gives up sooner, so that no test waits."""

    def within(self, time_limit: float) -> Outbound:
        return super().within(min(time_limit, 0.3))

    def trusting(self, trust, *, time_limit=None):
        return Short(trust=trust, time_limit=0.3)


@pytest.fixture
def clock():
    return ManualClock(wall=time.time())


@pytest.fixture
def sts():
    with Sts({}) as running:
        yield running


def method(clock, sts: Sts | None, **options: Any) -> AwsIam:
    told = {"type": "aws_iam", "server_id": SERVER_ID, "accounts": [ACCOUNT], **options}
    if sts is not None:
        told |= {"sts_endpoint": sts.url}
    return AwsIam(AwsIamOptions.model_validate(told), surroundings(NO_STORE, clock, outbound=Short()))


@pytest.fixture
def aws(clock, sts):
    return method(clock, sts)


def shown(value: str, slot: Slot = Slot.PROXY) -> Presented:
    return Presented(slot=slot, value=value, source="192.0.2.1")


def let_in(aws: AwsIam, value: str):
    """As the router asks: memory first."""
    assert aws.recognises(shown(value))
    return aws.recall(shown(value)) or aws.authenticate(shown(value))


def refused(aws: AwsIam, value: str) -> str:
    with pytest.raises(Unauthenticated) as refusal:
        let_in(aws, value)
    return refusal.value.reason


def test_whoever_signed_is_let_in(aws, sts) -> None:
    identity = let_in(aws, token_for(sts.keys_for(ALICE)))
    assert (identity.user, identity.groups, identity.method) == ("alice", ("Dev",), "aws_iam")
    assert identity.key_name == ALICE
    assert abs(identity.expires_at - time.time() - 900) < 5


def test_aws_is_asked_once_about_a_token(aws, sts) -> None:
    """Row 19 of the acceptance checks: no call of STS on the hot path."""
    text = token_for(sts.keys_for(ALICE))
    first = let_in(aws, text)
    assert [let_in(aws, text) for _ in range(5)] == [first] * 5
    assert aws.current(first) == first
    assert len(sts.calls) == 1


def test_a_proof_ends_with_its_signature_and_says_what_to_do(aws, sts, clock) -> None:
    text = token_for(sts.keys_for(ALICE))
    identity = let_in(aws, text)
    clock.advance(901)
    for ended in (lambda: aws.recall(shown(text)), lambda: aws.current(identity)):
        with pytest.raises(Unauthenticated) as refusal:
            ended()
        assert refusal.value.reason == "expired"
        assert "/auth/login" in refusal.value.hint


def test_a_clock_that_is_set_back_does_not_lengthen_a_proof(aws, sts, clock) -> None:
    text = token_for(sts.keys_for(ALICE))
    let_in(aws, text)
    clock.advance(901)
    clock._wall -= 3600
    assert refused(aws, text) == "expired"


@pytest.mark.parametrize(
    "arn", [STRANGER, f"arn:aws:iam::{ACCOUNT}:root", f"arn:aws:sts::{ACCOUNT}:federated-user/alice"]
)
def test_others_with_a_right_signature_are_not(aws, sts, arn) -> None:
    assert refused(aws, token_for(sts.keys_for(arn))) == "not_allowed"
    assert refused(aws, token_for(sts.keys_for(arn))) == "not_allowed"


def test_roles_choose_among_those_of_the_accounts(clock, sts) -> None:
    aws = method(clock, sts, roles=["role/ci-*"])
    assert let_in(aws, token_for(sts.keys_for(BUILDER))).user == f"role/{ACCOUNT}/ci-build"
    assert refused(aws, token_for(sts.keys_for(ALICE))) == "not_allowed"


def test_a_token_for_another_server_is_refused_wherever_that_is_noticed(aws, sts) -> None:
    """The confused deputy: another gateway, with a token that was given to it, is nobody here."""
    keys = sts.keys_for(ALICE)
    other = token_for(keys, server_id="other.corp")
    assert refused(aws, other) == "not_allowed"
    assert sts.calls == []
    told = unpacked(other)
    told["headers"] = {HEADER: SERVER_ID}
    assert refused(aws, packed(told)) == "bad_key"


def test_each_part_of_a_token_is_covered_by_its_signature(aws, sts) -> None:
    right = unpacked(token_for(sts.keys_for(ALICE)))["url"]
    keys = sts.keys_for(BUILDER)
    changes = [
        ("X-Amz-Expires=900", "X-Amz-Expires=899"),
        (right.partition("X-Amz-Signature=")[2], "0" * 64),
        (right.partition("X-Amz-Credential=")[2].partition("%2F")[0], keys.access_key_id),
        (f"https://{HOST}", "https://sts.amazonaws.com"),
        (f"https://{HOST}", "https://sts-fips.us-east-1.amazonaws.com"),
        ("X-Amz-Security-Token=canary", "X-Amz-Security-Token=canarx"),
    ]
    for before, after in changes:
        assert right.count(before) == 1
        assert refused(aws, token(right.replace(before, after))) == "bad_key", after


def test_wrong_tokens_reach_nobody(clock, sts) -> None:
    """S7, S8: of hundreds of wrong tokens none has us connect to anything, with an endpoint or without."""
    for aws in (method(clock, sts), method(clock, None)):
        with watched() as dials:
            for name, text in hostile():
                if aws.recognises(shown(text)):
                    with pytest.raises(Unauthenticated):
                        aws.recall(shown(text))
                    with pytest.raises(Unauthenticated):
                        aws.authenticate(shown(text))
                else:
                    assert not text.startswith("llmauth-aws-v1."), name
        assert dials == []
    assert sts.calls == []


def test_a_right_token_has_us_connect_to_the_endpoint_alone(aws, sts) -> None:
    with watched() as dials:
        let_in(aws, token_for(sts.keys_for(ALICE)))
    assert {dial.rpartition(":")[2] for dial in dials} == {str(sts.port)}


def test_without_an_endpoint_the_signed_host_is_asked_and_no_private_address(clock) -> None:
    """S8: a name of AWS that leads inside is not followed unless the configuration says that it may."""

    aws = AwsIam(
        AwsIamOptions(type="aws_iam", server_id=SERVER_ID, accounts=(ACCOUNT,)),
        surroundings(NO_STORE, clock, outbound=Outbound()),
    )
    with watched() as dials, pytest.raises(Unavailable):
        aws.authenticate(shown(token(f"https://{HOST}/?" + unpacked(token())["url"].partition("?")[2])))
    assert all(dial.startswith(HOST) for dial in dials)


@pytest.mark.parametrize(
    "value",
    [
        *("sk-placeholder", "llmauth-aws-v2.e30", "llmauth-aws-v1", "LLMAUTH-AWS-V1.e30", " llmauth-aws-v1.e30", ""),
        *("eyJhbGciOiJub25lIn0.e30.", "AWS4-HMAC-SHA256 Credential=x", "k8s-aws-v1.e30", "vault:v1:llmauth-aws-v1."),
    ],
)
def test_what_has_not_our_mark_is_left_to_others(aws, value) -> None:
    assert not aws.recognises(shown(value))


def test_the_session_slot_is_not_ours(aws) -> None:
    assert not aws.recognises(shown(token(), Slot.SESSION))


def test_a_wrong_signature_is_remembered_for_some_seconds(aws, sts, clock) -> None:
    text = token()
    assert refused(aws, text) == "bad_key"
    assert refused(aws, text) == "bad_key"
    assert len(sts.calls) == 1
    clock.advance(6)
    assert refused(aws, text) == "bad_key"
    assert len(sts.calls) == 2


# ---- an identity that was proved before ----------------------------------------------------------------------------


def test_an_identity_is_judged_by_what_is_configured_now(clock, sts) -> None:
    identity = let_in(method(clock, sts), token_for(sts.keys_for(ALICE)))
    assert method(clock, sts).current(identity) == identity  # another process, or the same after a restart
    for other in (method(clock, sts, accounts=["999999999999"]), method(clock, sts, roles=["Ops"])):
        with pytest.raises(Unauthenticated):
            other.current(identity)


def test_a_placeholder_token_carries_it(clock, sts) -> None:
    aws = method(clock, sts)
    identity = let_in(aws, token_for(sts.keys_for(ALICE)))
    tokens = Tokens(Secret("00" * 32), clock)
    back, _ = tokens.read(tokens.issue(identity).text)
    assert aws.current(back) == identity


# ---- faults --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["slow", "garbage", "broken", "refuse", "down"])
def test_while_aws_does_not_answer_nobody_new_is_let_in_and_those_known_are(aws, sts, clock, fault) -> None:
    """F2: down, slow, garbage, denied."""
    known, new = token_for(sts.keys_for(ALICE)), token_for(sts.keys_for(BUILDER))
    identity = let_in(aws, known)
    if fault == "down":
        sts.stop()
    else:
        sts.fault = fault
    with pytest.raises(Unavailable) as refusal:
        let_in(aws, new)
    assert refusal.value.retry_after
    assert let_in(aws, known) == identity
    assert aws.current(identity) == identity
    # Denied is one caller's affair: an endpoint's policy may deny this account and let others in.
    assert aws.usable() is (fault == "refuse")
    sts.fault = None
    if fault == "down":
        sts.start()
    clock.advance(PROBE_SECONDS + 1)
    aws._places.look()  # what the method's own thread does twice a second
    assert aws.usable()
    assert let_in(aws, new).user == f"role/{ACCOUNT}/ci-build"


def test_while_aws_is_silent_nobody_waits_for_it_but_the_first(aws, sts) -> None:
    """The threads that judge callers are few, and judge keys and passwords as well."""
    sts.fault = "slow"
    with pytest.raises(Unavailable):
        let_in(aws, token_for(sts.keys_for(ALICE)))
    begun = time.monotonic()
    for _ in range(50):
        with pytest.raises(Unavailable):
            let_in(aws, token_for(sts.keys_for(BUILDER)))
    assert time.monotonic() - begun < 0.25
    assert len(sts.calls) <= 2  # the first, and a look whether it was the token's fault


def test_its_thread_finds_out_that_aws_is_back(sts) -> None:
    clock = ManualClock(wall=time.time())
    aws = method(clock, sts)
    aws.start()
    try:
        sts.fault = "broken"
        with pytest.raises(Unavailable):
            let_in(aws, token_for(sts.keys_for(ALICE)))
        sts.fault = None
        clock.advance(PROBE_SECONDS + 1)
        ends = time.monotonic() + 5
        while not aws.usable():
            assert time.monotonic() < ends
            time.sleep(0.02)
    finally:
        aws.stop()


def test_a_region_that_a_caller_chose_says_nothing_about_this_server(clock) -> None:
    """A token may name any region; one that cannot be reached must not take the server out of service."""
    nowhere = Outbound(resolve={}, time_limit=0.2)
    options = AwsIamOptions(type="aws_iam", server_id=SERVER_ID, accounts=(ACCOUNT,))
    aws = AwsIam(options, surroundings(NO_STORE, clock, outbound=_Unreachable(nowhere)))
    with pytest.raises(Unavailable):
        let_in(aws, token())
    assert aws.usable()
    with pytest.raises(Unavailable):
        aws.recall(shown(token()))
    clock.advance(31)
    assert aws.recall(shown(token())) is None  # it may be tried again


class _Unreachable(Outbound):
    def __init__(self, _: Outbound) -> None:
        super().__init__()

    def within(self, time_limit: float) -> Outbound:
        return Outbound(resolve=_Dead(), time_limit=0.2)


class _Dead(dict[str, Any]):
    """Leads every name to a port where nobody listens."""

    def get(self, key: str, default: Any = None) -> Any:
        from llmauth.addresses import HostPort

        return HostPort("127.0.0.1", 1)

    def __bool__(self) -> bool:
        return True


# ---- options -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "told",
    [
        {"accounts": []},
        {"accounts": ["1"]},
        {"accounts": ["*"]},
        {"accounts": [111122223333]},
        {"server_id": ""},
        {"server_id": "a b"},
        {"server_id": "x\n"},
        {"sts_endpoint": "http://sts.corp"},
        {"sts_endpoint": "https://sts.corp/path"},
        {"sts_endpoint": "https://user@sts.corp"},
        {"sts_endpoint": "https://"},
        {"sts_endpoint": "ftp://sts.corp"},
        {"ca_file": Path("/ca.pem")},
        {"roles": [""]},
    ],
)
def test_options_that_would_let_in_others_are_refused(told) -> None:
    right = {"type": "aws_iam", "server_id": SERVER_ID, "accounts": [ACCOUNT]}
    AwsIamOptions.model_validate(right)
    with pytest.raises(ValidationError):
        AwsIamOptions.model_validate(right | told)


def test_an_endpoint_is_known_by_its_certificate(clock, tmp_path) -> None:
    with Sts({}, tls=["localhost"]) as inside:
        aws = method(clock, inside, ca_file=inside.write_ca(tmp_path))
        text = token_for(inside.keys_for(ALICE))
        assert let_in(aws, text).user == "alice"
        assert inside.calls[0].headers["host"] == HOST  # as it was signed, whatever the endpoint is called
        with pytest.raises(Unavailable):
            let_in(method(clock, inside), text)


def test_the_page_has_every_option_and_its_examples_are_right() -> None:
    assert options_of("aws-iam.md") == options_in(AwsIamOptions)
    shown = configured("aws-iam.md", "aws_iam")
    assert shown
    for entry in shown:
        AwsIamOptions.model_validate(entry)
