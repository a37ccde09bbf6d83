"""A private network: every door leads to PrivateLink, signed for the real service; nothing else is dialled."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from llmauth.ca import Authority as Ca
from llmauth.config.settings import ca_domains
from llmauth.demo.certificates import Authority
from llmauth.demo.emulators import Emulators
from tests.emulators.sts import Role, Sts
from tests.fixtures.calls import eventually
from tests.fixtures.raw import Answer, Wire, tunnel
from tests.fixtures.serving import ROOT, Serving, environment, free_port

RUNTIME, CONTROL = "bedrock-runtime.us-east-1.amazonaws.com", "bedrock.us-east-1.amazonaws.com"
LINK = "vpce-0abc-xyz.bedrock-runtime.us-east-1.vpce.amazonaws.com"
CONTROL_LINK = "vpce-0def-uvw.bedrock.us-east-1.vpce.amazonaws.com"
STS_LINK = "vpce-0123-rst.sts.us-east-1.vpce.amazonaws.com"
CONVERSE = "/model/anthropic.claude-3-sonnet-20240229-v1:0/converse"
BODY = json.dumps({"messages": [{"role": "user", "content": [{"text": "hello"}]}]}).encode()
ROLE, ACCOUNT = "arn:aws:iam::123456789012:role/bedrock-proxy", "system:serviceaccount:bedrock-system:bedrock-proxy"
JSON = ("Content-Type", "application/json")
_START_LIMIT = 25.0
# What a client of AWS sends: a signature with keys that are nobody's.
DUMMY = (
    "AWS4-HMAC-SHA256 Credential=AKIAPLACEHOLDER00000/20260101/us-east-1/bedrock/aws4_request, SignedHeaders=host,"
    " Signature=00"
)


@dataclass
class Network:
    """A gateway in it, the endpoints that it was told of, and the file with all that it asked for."""

    gateway: Serving
    bedrock: Emulators
    sts: Sts
    file: Path

    def places(self) -> set[str]:
        return set(self.file.read_text(encoding="utf-8").splitlines())


def configuration(bedrock: Emulators, sts: Sts, ca_file: Path, port: int) -> dict[str, Any]:
    bedrock_at, sts_at = bedrock.resolve[RUNTIME], f"127.0.0.1:{sts.port}"
    linked = {"type": "bedrock", "base_url": f"https://{LINK}", "control_plane_url": f"https://{CONTROL_LINK}"}
    strategies = {"authentication": {"strategies": [{"type": "workload_identity", "provider": "aws"}]}}
    return {
        "server": {"port": port},
        "upstream": {
            "ca_file": str(ca_file),
            "resolve": {LINK: bedrock_at, CONTROL_LINK: bedrock_at, STS_LINK: sts_at},
        },
        "platform": {"type": "eks"},
        "instances": {"bedrock_us1": {**linked, "region": "us-east-1", **strategies}},
    }


def variables(sts: Sts, folder: Path) -> Mapping[str, str]:
    token = folder / "token"
    token.write_text(sts.token(ACCOUNT))
    return {
        "LLMAUTH_CONFIG": str(folder / "gateway.yaml"),
        "LLMAUTH_HOME": str(folder / "home"),
        "AWS_ROLE_ARN": ROLE,
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(token),
        "AWS_ENDPOINT_URL_STS": f"https://{STS_LINK}",
        "AWS_REGION": "us-east-1",
        "LOG_FORMAT": "json",
        "LOG_LEVEL": "debug",
    }


def begun(folder: Path, bedrock: Emulators, sts: Sts, authority: Authority) -> Network:
    (folder / "home").mkdir(mode=0o700)
    roots, file, port = folder / "roots.pem", folder / "places", free_port()
    roots.write_bytes(authority.pem + bedrock.ca_file.read_bytes())
    config = folder / "gateway.yaml"
    config.write_text(json.dumps(configuration(bedrock, sts, roots, port)))
    environ = environment(**variables(sts, folder))
    command = [sys.executable, "-m", "tests.fixtures.watched_serve", str(file), "serve"]
    log_file = folder / "gateway.log"
    with log_file.open("wb") as log:
        process = subprocess.Popen(command, env=environ, cwd=ROOT, stdout=log, stderr=log)
    gateway = Serving(folder / "home", port, environ, config, log_file, process)
    try:
        eventually(lambda: "Ready on " in gateway.log(), _START_LIMIT)
        made = gateway.settings()
        gateway.ca_file.write_text(Ca.load_or_create(made.ca.folder, ca_domains(made), create=False).certificate_pem())
    except BaseException:
        process.kill()
        process.wait()
        raise
    return Network(gateway, bedrock, sts, file)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    authority = Authority.create()
    names = {LINK: RUNTIME, CONTROL_LINK: CONTROL}
    with (
        Emulators(pace=0.001, tokens=6, regions=("us-east-1",), aliases=names) as bedrock,
        Sts({ROLE: Role(subjects=[ACCOUNT])}, tls=[STS_LINK], authority=authority) as sts,
    ):
        network = begun(tmp_path_factory.mktemp("vpc"), bedrock, sts, authority)
        try:
            # Until it has proved itself to STS, whose keys are then what Bedrock asks for.
            eventually(lambda: bool(sts.issued), _START_LIMIT)
            ((keys, _),) = sts.issued.values()
            bedrock.credentials = replace(
                bedrock.credentials,
                aws_access_key_id=keys.access_key_id,
                aws_secret_access_key=keys.secret_access_key,
                aws_session_token=keys.session_token,
            )
            yield network
        finally:
            network.gateway.stop()


def by_path(network: Network, target: str, body: bytes = BODY, *more: tuple[str, str]) -> Answer:
    key = network.gateway.key()
    with Wire(network.gateway.port) as wire:
        headers = [("Host", "gateway"), ("X-API-Key", key), JSON, *more]
        return wire.request("POST" if body else "GET", target, headers, body)


def by_host(network: Network, host: str, target: str, body: bytes = BODY) -> Answer:
    with tunnel(network.gateway.port, host, network.gateway.key(), network.gateway.ca_file) as wire:
        headers = [("Host", host), ("Authorization", DUMMY), JSON]
        return wire.request("POST" if body else "GET", target, headers, body)


def seen(network: Network) -> tuple[str | None, str, str]:
    """Of the last request: the name of TLS, the Host, and the scope of a signature that the emulator has verified."""
    last = network.bedrock.requests()[-1]
    authorization = dict(last.headers)[b"Authorization"].decode()
    return last.sni, last.host, authorization.partition("/")[2].partition(",")[0].partition("/")[2]


DOORS = [
    (None, f"/transparent/bedrock{CONVERSE}", RUNTIME),
    (None, CONVERSE, RUNTIME),
    (None, "/transparent/bedrock_us1/foundation-models", CONTROL),
    (RUNTIME, CONVERSE, RUNTIME),
    (LINK, CONVERSE, RUNTIME),
    (CONTROL, "/foundation-models", CONTROL),
]


@pytest.mark.parametrize(("host", "target", "service"), DOORS)
def test_each_door_leads_to_the_endpoint_and_is_signed_for_the_service(
    network: Network, host: str | None, target: str, service: str
) -> None:
    body = b"" if target.endswith("models") else BODY
    answer = by_path(network, target, body) if host is None else by_host(network, host, target, body)
    assert answer.status == 200, answer.body
    assert seen(network) == (service, service, "us-east-1/bedrock/aws4_request")


def test_protocol_mode_goes_there_too(network: Network) -> None:
    chat = {"model": "anthropic.claude-3-sonnet-20240229-v1:0", "messages": [{"role": "user", "content": "hello"}]}
    answer = by_path(network, "/openai/bedrock_us1/chat/completions", json.dumps(chat).encode())
    assert answer.status == 200, answer.body
    assert seen(network)[:2] == (RUNTIME, RUNTIME)


@pytest.mark.parametrize("host", ["bedrock-runtime.us-west-2.amazonaws.com", "bedrock-runtime.us-east-1.api.aws"])
def test_a_name_that_has_no_endpoint_is_not_served(network: Network, host: str) -> None:
    """Its request would leave for the internet."""
    with Wire(network.gateway.port) as wire:
        assert wire.connect(f"{host}:443", network.gateway.key()).status == 403


def test_from_its_start_to_its_last_answer_it_asks_for_nothing_but_what_it_was_told_of(network: Network) -> None:
    """Not for a version, prices, lists or certificates, nor for the machine's identity, nor for the names of AWS."""
    assert by_path(network, f"/transparent/bedrock{CONVERSE}").status == 200
    assert by_host(network, RUNTIME, CONVERSE).status == 200
    port = network.bedrock.resolve[RUNTIME].partition(":")[2]
    told = {f"{what} 127.0.0.1:{at}" for what in ("ask", "connect") for at in (port, network.sts.port)}
    own = {f"ask 127.0.0.1:{network.gateway.port}"}  # to listen
    assert {f"connect 127.0.0.1:{port}", f"connect 127.0.0.1:{network.sts.port}"} <= network.places() <= told | own
