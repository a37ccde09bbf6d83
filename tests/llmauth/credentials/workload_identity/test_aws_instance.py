"""EC2's metadata service: asked by its second version alone, and what is made of what it says."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from llmauth.credentials.workload_identity.aws_instance import InstanceMetadata
from llmauth.outbound import Outbound
from llmauth.secrets import Loaded
from llmauth.sources import SourceFailed, SourceUnavailable
from tests.emulators.imds import Imds


@pytest.fixture
def imds() -> Iterator[Imds]:
    with Imds() as running:
        yield running


def load(imds: Imds, left: float = 3.5) -> Loaded:
    environ = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": imds.url + "/"}
    return InstanceMetadata(environ, Outbound(), lambda: left, "not here").load()


def refused(imds: Imds, kind: type[SourceFailed] | type[SourceUnavailable], within: float = 1.5) -> str:
    started = time.monotonic()
    with pytest.raises(kind) as caught:
        load(imds)
    assert time.monotonic() - started < within
    assert "canary" not in str(caught.value)
    return str(caught.value)


def failed(imds: Imds) -> str:
    return refused(imds, SourceFailed)


def absent(imds: Imds) -> str:
    return refused(imds, SourceUnavailable)


def test_three_questions_and_no_more(imds) -> None:
    assert load(imds).expires_at == imds.ends
    assert [call.method for call in imds.calls] == ["PUT", "GET", "GET"]
    assert len({call.headers.get("x-aws-ec2-metadata-token") for call in imds.calls[1:]}) == 1


def test_it_has_no_more_time_than_the_load(imds) -> None:
    imds.fault = "slow"
    started = time.monotonic()
    with pytest.raises(SourceUnavailable, match="did not answer within"):
        load(imds, left=0.2)
    assert time.monotonic() - started < 0.6


@pytest.mark.parametrize("role", ["../../user-data", "a role", "r" * 200])
def test_a_role_that_is_no_name_is_not_asked_for(imds, role) -> None:
    imds.role = role
    assert "gave no role" in failed(imds)
    assert len(imds.calls) == 2


def test_a_metadata_service_that_is_turned_off(imds) -> None:
    imds.disabled = True
    assert "is turned off, or is not AWS's (403)" in absent(imds)
    assert [call.method for call in imds.calls] == ["PUT"]


def test_a_metadata_service_that_is_too_many_hops_away(imds) -> None:
    imds.far = True
    assert "hop limit must be 2" in absent(imds)


def test_a_role_that_ec2_may_not_assume(imds) -> None:
    imds.code = "AssumeRoleUnauthorizedAccess"
    reason = failed(imds)
    assert reason.endswith("no keys for the role node-role: status 200 (AssumeRoleUnauthorizedAccess)")


@pytest.mark.parametrize(("fault", "reason"), [("garbage", "gave no token: status 200"), ("broken", "status 500")])
def test_a_metadata_service_in_trouble(imds, fault, reason) -> None:
    imds.fault = fault
    assert reason in failed(imds)
    assert len(imds.calls) == 1


def test_a_laptop_does_not_wait_for_a_metadata_service(imds) -> None:
    imds.fault = "slow"
    absent(imds)


def test_the_metadata_service_is_not_asked_by_a_proxy(imds, monkeypatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert load(imds).expires_at
