"""AWS's library over calls of our own: what reaches the wire, and what of the machine's settings does not."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from llmauth.addresses import HostPort
from llmauth.demo.certificates import Authority
from llmauth.outbound import Outbound, Trust
from llmauth.outbound.aws import client, configured_endpoint, partition_of
from llmauth.secrets import AwsKeys, Secret
from llmauth.sources import SourceFailed
from tests.emulators.service import Reply, Service
from tests.emulators.sts import Sts

ROLE = "arn:aws:iam::123456789012:role/pod"


@pytest.fixture
def sts() -> Iterator[Sts]:
    with Sts({}) as running:
        yield running


def keys(sts: Sts) -> AwsKeys:
    given = sts.keys_for(ROLE)
    assert given.session_token is not None
    return AwsKeys(
        access_key_id=given.access_key_id,
        secret_access_key=Secret(given.secret_access_key),
        session_token=Secret(given.session_token),
    )


def test_a_signed_call_arrives_as_it_was_signed(sts) -> None:
    one = client("sts", Outbound(), {}, region="us-east-1", keys=keys(sts), endpoint=sts.url)
    assert one.get_caller_identity()["Arn"] == ROLE
    assert len(sts.calls) == 1


def test_nothing_of_this_process_decides(sts, monkeypatch, tmp_path) -> None:
    """HTTPS_PROXY, a bundle, a profile, an endpoint, another number of attempts: all of it is botocore's own."""
    (tmp_path / "config").write_text("[default]\nregion = xx-wrong-1\nendpoint_url = http://127.0.0.1:1\n")
    wrong = {
        "HTTP_PROXY": "http://127.0.0.1:1",
        "http_proxy": "http://127.0.0.1:1",
        "AWS_CA_BUNDLE": "/nowhere.pem",
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_PROFILE": "absent",
        "AWS_ENDPOINT_URL_STS": "http://127.0.0.1:1",
        "AWS_MAX_ATTEMPTS": "9",
        "AWS_ACCESS_KEY_ID": "AKIAWRONG",
        "AWS_SECRET_ACCESS_KEY": "wrong",
    }
    for name, value in wrong.items():
        monkeypatch.setenv(name, value)
    environ = {"AWS_ENDPOINT_URL_STS": sts.url}
    assert client("sts", Outbound(), environ, region="us-east-1", keys=keys(sts)).get_caller_identity()["Arn"] == ROLE
    sts.fault = "broken"
    with pytest.raises(SourceFailed, match="status 500"):
        client("sts", Outbound(), environ, region="us-east-1", keys=keys(sts)).get_caller_identity()
    assert len(sts.calls) == 2


def test_without_keys_nobody_is_looked_for(sts, monkeypatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAWRONG")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    one = client("sts", Outbound(), {}, region="us-east-1", endpoint=sts.url)
    with pytest.raises(Exception, match="InvalidIdentityToken"):
        one.assume_role_with_web_identity(RoleArn=ROLE, RoleSessionName="one", WebIdentityToken="abcd")
    assert "authorization" not in sts.calls[0].headers


def test_s8_a_name_that_leads_inside_is_refused_and_a_configured_one_is_not(monkeypatch, sts) -> None:
    def lookup(host, port, *_args, **_more):
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", sts.port))]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    given = keys(sts)
    with pytest.raises(SourceFailed, match=r"leads to a private address; name it in upstream\.allow_private"):
        client("sts", Outbound(), {}, region="us-east-1", keys=given).get_caller_identity()
    endpoint = "https://vpce-1.sts.us-east-1.vpce.amazonaws.com"
    with pytest.raises(SourceFailed, match=r"vpce-1\.sts.* cannot be asked: SSLError"):  # it was dialled
        client("sts", Outbound(), {}, region="us-east-1", keys=given, endpoint=endpoint).get_caller_identity()


def test_s6_a_redirect_is_not_followed(sts) -> None:
    class Elsewhere(Service):
        def answer(self, call):
            return Reply(307, b"", {"Location": sts.url})

    with Elsewhere() as moved, pytest.raises(Exception, match="307"):
        client("sts", Outbound(), {}, region="us-east-1", keys=keys(sts), endpoint=moved.url).get_caller_identity()
    assert not sts.calls


def test_a_port_that_goes_without_saying_is_not_part_of_the_signed_host() -> None:
    names, authority = ["sts.corp.example"], Authority.create()
    with Sts({}, tls=names, authority=authority) as sts:
        way = Outbound(trust=Trust(ca_data=sts.pem), resolve={"sts.corp.example": HostPort("127.0.0.1", sts.port)})
        endpoint = "https://sts.corp.example:443"
        one = client("sts", way, {}, region="us-east-1", keys=keys(sts), endpoint=endpoint)
        assert one.get_caller_identity()["Arn"] == ROLE


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({}, None),
        ({"AWS_ENDPOINT_URL": "https://a"}, "https://a"),
        ({"AWS_ENDPOINT_URL": "https://a", "AWS_ENDPOINT_URL_SECRETS_MANAGER": "https://b"}, "https://b"),
        ({"AWS_ENDPOINT_URL_SECRETS_MANAGER": "https://b", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}, None),
        ({"AWS_ENDPOINT_URL_SECRETS_MANAGER": ""}, None),
    ],
)
def test_endpoints_of_the_environment(environ, url) -> None:
    assert configured_endpoint("secretsmanager", environ) == url


@pytest.mark.parametrize(
    ("region", "partition"),
    [("eu-west-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov"), ("nowhere", None)],
)
def test_partitions(region, partition) -> None:
    assert partition_of(region) == partition
