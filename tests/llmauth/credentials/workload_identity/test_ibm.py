"""A workload's own identity at IBM, against the emulated IAM and metadata service."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from llmauth.addresses import HostPort
from llmauth.clock import ManualClock
from llmauth.credentials import build
from llmauth.credentials.base import Surroundings
from llmauth.credentials.workload_identity import ibm as module
from llmauth.credentials.workload_identity.compute_token import IN_A_POD, IN_CODE_ENGINE
from llmauth.credentials.workload_identity.ibm import IbmWorkloadIdentity, IbmWorkloadIdentityOptions, Profile
from llmauth.outbound import Outbound
from llmauth.platform import Platform
from llmauth.platform.probes import Probes
from llmauth.secrets import BearerToken, Loaded
from llmauth.sources import SourceFailed, SourceUnavailable
from tests.emulators.ibm_iam import HOST, PROFILE_ID, Account, IbmIamEmulator, IbmMetadataEmulator

FILE = IN_A_POD[1]
POD = {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}
NAME = "llm gateway"
CRN = f"crn:v1:bluemix:public:iam-identity::a/18e3020749ce4744b0b472466d61fdb4::profile:{PROFILE_ID}"


@pytest.fixture
def account() -> Account:
    return Account()


@pytest.fixture
def iam(account: Account) -> Iterator[IbmIamEmulator]:
    with IbmIamEmulator(account) as running:
        yield running


@pytest.fixture
def metadata(account: Account) -> Iterator[IbmMetadataEmulator]:
    with IbmMetadataEmulator(account) as running:
        yield running


@pytest.fixture
def in_a_pod(standing, iam, account, tmp_path: Path) -> Callable[..., Surroundings]:
    """A factory: the surroundings of a pod with a token for IAM."""

    def make(files: dict[str, str] | None = None, **environ: str) -> Surroundings:
        outbound = Outbound(ca_file=iam.write_ca(tmp_path), resolve={HOST: HostPort("127.0.0.1", iam.port)})
        files = {FILE: account.compute_token()} if files is None else files
        made: Surroundings = standing("ibm", POD | environ, files, outbound=outbound)
        return made

    return make


@pytest.fixture
def on_a_server(standing, metadata) -> Callable[..., Surroundings]:
    """A factory: the surroundings of a plain virtual server."""

    def make(**environ: str) -> Surroundings:
        made: Surroundings = standing("ibm", {"IBMCLOUD_CR_VPC_URL": metadata.url} | environ)
        return made

    return make


def strategy(surroundings: Surroundings, **options: object) -> IbmWorkloadIdentity:
    return IbmWorkloadIdentity(IbmWorkloadIdentityOptions.model_validate(options), surroundings)


def value(loaded: Loaded) -> str:
    assert isinstance(loaded.credential, BearerToken)
    return loaded.credential.value.reveal()


# Trusted profiles by compute resource tokens


@pytest.mark.parametrize(
    ("profile", "form"),
    [(NAME, {"profile_name": NAME}), (PROFILE_ID, {"profile_id": PROFILE_ID}), (CRN, {"profile_id": PROFILE_ID})],
)
def test_a_pod(in_a_pod, iam, account, profile, form) -> None:
    one = strategy(in_a_pod(), profile=profile)
    assert one.unavailable() is None
    assert not iam.calls
    loaded = one.load()
    assert account.is_good(value(loaded))
    assert loaded.source == f"trusted profile {next(iter(form.values()))}"
    (call,) = iam.calls
    grant = {"grant_type": "urn:ibm:params:oauth:grant-type:cr-token"}
    assert dict(call.form) == grant | form | {"cr_token": next(iter(account.compute_tokens))}


def test_the_end_is_counted_by_the_life_that_was_told(in_a_pod, account) -> None:
    """Our clock and IBM's need not agree."""
    clock = ManualClock()
    here = in_a_pod()
    account.life = 1234
    made = Surroundings(
        provider="ibm", machine=here.machine, platform=here.platform, outbound=here.outbound, clock=clock
    )
    assert strategy(made, profile=NAME).load().expires_at == clock.wall() + 1234


def test_the_profile_of_ibms_variable(in_a_pod, iam) -> None:
    strategy(in_a_pod(IBMCLOUD_CR_PROFILE=PROFILE_ID)).load()
    strategy(in_a_pod(IBMCLOUD_CR_PROFILE=PROFILE_ID), profile=NAME).load()
    assert ["profile_id" in call.form for call in iam.calls] == [True, False]


def test_code_engine(in_a_pod, account) -> None:
    loaded = strategy(in_a_pod({IN_CODE_ENGINE: account.compute_token()}), profile=NAME).load()
    assert account.is_good(value(loaded))


def test_a_token_file_of_ones_own(in_a_pod, account) -> None:
    loaded = strategy(in_a_pod({"/run/token": account.compute_token()}), profile=NAME, token_file="/run/token").load()
    assert account.is_good(value(loaded))


def test_the_token_is_read_at_every_load(in_a_pod, account, iam) -> None:
    files = {FILE: account.compute_token()}
    one = strategy(in_a_pod(files), profile=NAME)
    one.load()
    files[FILE] = account.compute_token(life=7200)
    one.load()
    assert iam.calls[0].form["cr_token"] != iam.calls[1].form["cr_token"] == files[FILE]


def test_a_token_that_is_found_is_used_as_it_is(in_a_pod, account) -> None:
    """An instance's keys are exchanged; this is a token already."""
    loaded = build(IbmWorkloadIdentityOptions(profile=NAME), in_a_pod()).load()
    assert account.is_good(value(loaded))


def test_without_a_profile(in_a_pod, iam) -> None:
    one = strategy(in_a_pod())
    assert one.unavailable() is None
    with pytest.raises(SourceFailed) as caught:
        one.load()
    assert caught.value.reason == (
        "no trusted profile is named: set `profile` of this strategy, or IBMCLOUD_CR_PROFILE"
    )
    assert not iam.calls


REFUSED = f"IBM IAM refused the compute resource token of {FILE} for this trusted profile: "


def test_a_profile_that_is_not_linked(in_a_pod, account) -> None:
    account.linked = False
    with pytest.raises(SourceFailed) as caught:
        strategy(in_a_pod(), profile=NAME).load()
    assert caught.value.reason == f"{REFUSED}BXNIM0466E"


def test_a_token_that_has_ended(in_a_pod, account) -> None:
    with pytest.raises(SourceFailed) as caught:
        strategy(in_a_pod({FILE: account.compute_token(life=-1)}), profile=NAME).load()
    assert caught.value.reason == f"{REFUSED}BXNIM0444E"


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("garbage", "IBM IAM answered something that is no JSON object"),
        ("broken", "IBM IAM gave no token: status 500"),
        ("refuse", f"{REFUSED}BXNIM0109E"),
    ],
)
def test_faults_of_iam(in_a_pod, iam, fault, reason) -> None:
    iam.fault = fault
    with pytest.raises(SourceFailed) as caught:
        strategy(in_a_pod(), profile=NAME).load()
    assert caught.value.reason == reason
    assert len(iam.calls) == 1


def test_iam_that_does_not_answer(in_a_pod, iam, monkeypatch) -> None:
    assert module._TIME_LIMIT < 4
    monkeypatch.setattr(module, "_TIME_LIMIT", 0.3)
    one = strategy(in_a_pod(), profile=NAME)
    iam.fault = "slow"
    started = time.monotonic()
    with pytest.raises(SourceFailed, match=r"iam\.cloud\.ibm\.com did not answer within 0\.3 s"):
        one.load()
    assert time.monotonic() - started < 1.5
    iam.stop()
    with pytest.raises(SourceFailed, match=r"iam\.cloud\.ibm\.com cannot be asked: ConnectionRefusedError"):
        one.load()


# A virtual server


@pytest.mark.parametrize(
    ("profile", "body"),
    [(None, None), (NAME, {"name": NAME}), (PROFILE_ID, {"id": PROFILE_ID}), (CRN, {"id": PROFILE_ID})],
)
def test_a_virtual_server(on_a_server, metadata, account, profile, body) -> None:
    loaded = strategy(on_a_server(), profile=profile).load()
    assert account.is_good(value(loaded))
    put, post = metadata.calls
    assert (put.method, put.target) == ("PUT", "/instance_identity/v1/token?version=2022-03-01")
    assert put.json == {"expires_in": 300}
    assert (post.method, post.target) == ("POST", "/instance_identity/v1/iam_token?version=2022-03-01")
    assert (post.json if post.body else None) == (body and {"trusted_profile": body})


def test_a_server_without_a_default_profile(on_a_server, metadata) -> None:
    metadata.default = False
    with pytest.raises(SourceFailed, match="name a trusted profile, as this server has no default one"):
        strategy(on_a_server()).load()


def test_a_server_that_is_not_linked(on_a_server, account) -> None:
    account.linked = False
    with pytest.raises(SourceFailed, match="refused this virtual server the trusted profile: profile_not_linked"):
        strategy(on_a_server(), profile=NAME).load()


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("garbage", "the metadata service of IBM answered something that is no JSON object"),
        ("broken", "the metadata service of IBM gave no token: status 500"),
        ("refuse", "the metadata service of IBM refused to tell who this virtual server is: not_authorized"),
    ],
)
def test_faults_of_the_metadata_service(on_a_server, metadata, fault, reason) -> None:
    metadata.fault = fault
    with pytest.raises(SourceFailed) as caught:
        strategy(on_a_server(), profile=NAME).load()
    assert caught.value.reason == reason


def test_a_metadata_service_that_does_not_answer(on_a_server, metadata, monkeypatch) -> None:
    monkeypatch.setattr(module, "_METADATA_LIMIT", 0.2)
    one = strategy(on_a_server(), profile=NAME)
    metadata.fault = "slow"
    started = time.monotonic()
    with pytest.raises(SourceFailed, match=r"the metadata service of IBM: 127\.0\.0\.1 did not answer within 0\.2 s"):
        one.load()
    assert time.monotonic() - started < 1.5
    metadata.stop()
    with pytest.raises(SourceFailed, match=r"the metadata service of IBM: .* ConnectionRefusedError"):
        one.load()


def test_where_nobody_said_so_a_missing_service_is_an_absence(standing, serve, monkeypatch) -> None:
    another_clouds = serve(lambda _: (404, "canary-7f3a"))
    monkeypatch.setattr(Probes, "answers", lambda *_: True)
    monkeypatch.setattr(module, "DEFAULT_ENDPOINT", another_clouds.url)
    here = standing("ibm", {}, platform=Platform())
    with pytest.raises(SourceUnavailable, match=r"^IBM workload identity not available on generic$"):
        strategy(here, profile=NAME).load()
    switched = standing("ibm", {}, platform=Platform(switched={"ibm": True}))
    with pytest.raises(SourceFailed, match="knows no instance identity: status 404"):
        strategy(switched, profile=NAME).load()
    assert [asked.method for asked in another_clouds.asked] == ["PUT", "PUT"]


def test_in_a_pod_the_server_is_an_opt_in(on_a_server, metadata) -> None:
    here = on_a_server(**POD)
    with pytest.raises(SourceUnavailable, match="IBM nodes, allow_node_identity: true would use the node's own"):
        strategy(here, profile=NAME).load()
    assert not metadata.calls
    assert value(strategy(here, profile=NAME, allow_node_identity=True).load())


def test_a_broken_identity_of_a_pod_does_not_become_the_node(in_a_pod, metadata, account) -> None:
    account.linked = False
    with pytest.raises(SourceFailed, match="BXNIM0466E"):
        strategy(in_a_pod(IBMCLOUD_CR_VPC_URL=metadata.url), profile=NAME, allow_node_identity=True).load()
    assert not metadata.calls


@pytest.mark.parametrize(
    ("platform", "options", "reason"),
    [
        (Platform(settled=True), {}, r"^IBM workload identity not available on generic$"),
        (Platform(name="aks", in_kubernetes=True, settled=True), {}, "IBM workload identity not available on aks"),
        (Platform(), {"allow_node_identity": False}, "allow_node_identity: false"),
        (Platform(switched={"ibm": False}), {}, "turned off by platform.capabilities"),
    ],
)
def test_where_there_is_none_nobody_is_asked(standing, account, platform, options, reason) -> None:
    files = {FILE: account.compute_token()} if platform.switched else {}
    one = strategy(standing("ibm", {}, files, platform=platform), **options)
    with pytest.raises(SourceUnavailable, match=reason) as caught:
        one.load()
    assert one.unavailable() == caught.value.reason


# Options


@pytest.mark.parametrize(
    ("text", "profile"),
    [
        (PROFILE_ID, Profile("id", PROFILE_ID)),
        (CRN, Profile("id", PROFILE_ID)),
        ("Profile-of-ours", Profile("name", "Profile-of-ours")),
        ("llm gateway", Profile("name", "llm gateway")),
    ],
)
def test_a_profile_is_told_by_its_form(text, profile) -> None:
    assert Profile.written(text) == profile


@pytest.mark.parametrize("options", [{"profile": ""}, {"profile": "a\nb"}, {"role_arn": "x"}, {"profile": "x" * 300}])
def test_wrong_options(options) -> None:
    with pytest.raises(ValidationError):
        IbmWorkloadIdentityOptions.model_validate(options)
