"""Callers with AWS credentials: the real helper signs with keys of moto's STS, real SDKs carry what it made, and the
gateway asks moto who that is."""

from __future__ import annotations

import http.client
import json
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from botocore.session import Session
from moto.moto_server.werkzeug_app import create_backend_app
from werkzeug.serving import make_server

from llmauth.demo import sigv4
from llmauth.demo.emulators import Emulators
from tests.e2e.clients.sdks import Sdks
from tests.e2e.clients.test_bedrock import CLIENTS, DUMMY, SONNET, endpoints
from tests.emulators.service import Call, Reply
from tests.emulators.sts import Sts
from tests.fixtures.aws_tokens import SERVER_ID, token_for
from tests.fixtures.calls import JSON, eventually
from tests.fixtures.certificates import listener
from tests.fixtures.raw import Answer, Wire, basic, tunnel
from tests.fixtures.serving import ROOT, Serving, environment, start
from tests.llmauth.demo.clients import ClientProblem

ACCOUNT = "123456789012"  # moto's
MODELS = "/transparent/openai/v1/models"
SAYS = "Hello from the emulated"

OPENAI = """
client = openai.OpenAI(max_retries=0)
asked = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]}
streamed = client.chat.completions.create(**asked, stream=True)
result = [
    client.chat.completions.create(**asked).choices[0].message.content,
    "".join(chunk.choices[0].delta.content or "" for chunk in streamed if chunk.choices),
]
"""
BOTO3 = (
    CLIENTS.replace('client("bedrock")', "None")
    + """
turns = [{"role": "user", "content": [{"text": "hello"}]}]
events = runtime.converse_stream(modelId=model, messages=turns)["stream"]
result = [
    runtime.converse(modelId=model, messages=turns)["output"]["message"]["content"][0]["text"],
    "".join(event["contentBlockDelta"]["delta"]["text"] for event in events if "contentBlockDelta" in event),
]
"""
)


class Front(Sts):
    """Holds a presigned call against the keys that moto issued, and has moto say whose these are.

    moto reads the key id of a signature in the header alone, and verifies none.
    """

    def __init__(self, port: int) -> None:
        super().__init__({})
        self._moto = port

    def assumed(self, role: str, session: str) -> sigv4.Keys:
        """Keys of a role, as moto gives them."""
        sts = Session().create_client(
            "sts",
            region_name="us-east-1",
            endpoint_url=f"http://127.0.0.1:{self._moto}",
            aws_access_key_id="admin",
            aws_secret_access_key="admin",
        )
        arn = f"arn:aws:iam::{ACCOUNT}:role/{role}"
        given = sts.assume_role(RoleArn=arn, RoleSessionName=session)["Credentials"]
        keys = sigv4.Keys(
            access_key_id=given["AccessKeyId"],
            secret_access_key=given["SecretAccessKey"],
            session_token=given["SessionToken"],
        )
        self.issued[keys.access_key_id] = (keys, role)
        return keys

    def _answered(self, call: Call) -> Reply:
        self._presigner(call)  # raises what STS would say
        scope = call.query["X-Amz-Credential"]
        signed = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature={call.query['X-Amz-Signature']}"
        connection = http.client.HTTPConnection("127.0.0.1", self._moto, timeout=10)
        target = "/?Action=GetCallerIdentity&Version=2011-06-15"
        connection.request("GET", target, headers={"Host": call.headers["host"], "Authorization": signed})
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return Reply(answer.status, body, {"Content-Type": "text/xml"})


@dataclass(frozen=True)
class House:
    """A gateway whose `sts_endpoint` leads to moto, and two people with credentials of AWS."""

    gateway: Serving
    front: Front
    alice: str
    keys: sigv4.Keys


def helper(*words: str, **found: str) -> subprocess.CompletedProcess[str]:
    """`llmauth token aws` as a person runs it, with their own credentials and no configuration of the gateway."""
    return subprocess.run(
        [sys.executable, "-m", "llmauth", "token", "aws", "--server-id", SERVER_ID, *words],
        env=environment(**found),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )


@pytest.fixture(scope="module")
def front() -> Iterator[Front]:
    server = make_server("127.0.0.1", 0, create_backend_app("sts"), threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with Front(server.server_port) as running:
        yield running
    server.shutdown()


@pytest.fixture(scope="module")
def own_house(tmp_path_factory: pytest.TempPathFactory, shared_emulators: Emulators, front: Front) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("iam")
    server, ca_file = listener(folder)
    method = {"type": "aws_iam", "server_id": SERVER_ID, "accounts": [ACCOUNT], "sts_endpoint": front.url}
    method["roles"] = ["Dev", "role/ci-*"]
    gateway = start(folder, shared_emulators, server=server, auth={"methods": ["api_key", method]})
    gateway.bundle.write_bytes(gateway.bundle.read_bytes() + ca_file.read_bytes())
    keys = front.assumed("AWSReservedSSO_Dev_0123456789abcdef", "alice")
    held = {
        "AWS_ACCESS_KEY_ID": keys.access_key_id,
        "AWS_SECRET_ACCESS_KEY": keys.secret_access_key,
        "AWS_SESSION_TOKEN": keys.session_token or "",
    }
    yield House(gateway, front, helper(**held).stdout.removesuffix("\n"), keys)
    gateway.stop()


@pytest.fixture
def house(own_house: House, emulators: Emulators) -> House:
    return own_house


def trust(house: House) -> dict[str, str]:
    return dict.fromkeys(("SSL_CERT_FILE", "AWS_CA_BUNDLE"), str(house.gateway.bundle))


def ways(house: House, token: str) -> Mapping[str, Mapping[str, str]]:
    """The environment of an SDK on each way; openai's and boto3's variables side by side."""
    gateway = house.gateway
    placeholder = {"OPENAI_API_KEY": "sk-placeholder", **DUMMY}
    secure = f"https://localhost:{gateway.tls_port}/transparent"
    return {
        "proxy password": {"HTTPS_PROXY": f"http://aws:{token}@127.0.0.1:{gateway.port}", **placeholder},
        "bearer in a tunnel": {
            "HTTPS_PROXY": gateway.url,
            "OPENAI_API_KEY": token,
            "AWS_BEARER_TOKEN_BEDROCK": token,
        },
        "bearer by path": {
            "OPENAI_BASE_URL": f"{secure}/openai/v1",
            "OPENAI_API_KEY": token,
            **endpoints(f"{secure}/bedrock_us1"),
            "AWS_BEARER_TOKEN_BEDROCK": token,
        },
    }


WAYS = ("proxy password", "bearer in a tunnel", "bearer by path")


def says(sdks: Sdks, code: str, environ: Mapping[str, str]) -> Any:
    return sdks.run(code, environ, key_header="", region="us-east-1", model=SONNET)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("code", [OPENAI, BOTO3], ids=["openai", "boto3"])
def test_sdks_carry_what_the_helper_made(house: House, emulators: Emulators, sdks: Sdks, code: str, way: str) -> None:
    said = says(sdks, code, {**ways(house, house.alice)[way], **trust(house)})
    assert all(one.startswith(SAYS) for one in said)
    sent = emulators.requests()
    assert len(sent) == 2
    for request in sent:
        assert b"llmauth-aws-v1" not in repr(request).encode()
    assert {line["user"] for line in house.gateway.lines("request")[-2:]} == {"alice"}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("code", [OPENAI, BOTO3], ids=["openai", "boto3"])
def test_sdks_are_told_where_it_is_spoilt(house: House, emulators: Emulators, sdks: Sdks, code: str, way: str) -> None:
    spoilt = house.alice[:-40] + ("A" if house.alice[-40] != "A" else "B") + house.alice[-39:]
    with pytest.raises(ClientProblem, match=r"401|407|[Pp]roxy|Connection error|not valid|UnrecognizedClient"):
        says(sdks, code, {**ways(house, spoilt)[way], **trust(house)})
    assert emulators.requests() == ()


def ask(house: House, token: str, method: str = "GET", path: str = MODELS) -> Answer:
    with Wire(house.gateway.port) as wire:
        return wire.request(method, path, [("Host", "gateway"), ("Authorization", f"Bearer {token}"), JSON])


def test_moto_is_asked_once_about_a_token(house: House) -> None:
    token = token_for(house.keys)
    before = len(house.front.calls)
    assert [ask(house, token).status for _ in range(4)] == [200] * 4
    with tunnel(house.gateway.port, "api.openai.com", token, house.gateway.ca_file) as wire:
        assert wire.request("GET", "/v1/models", [("Host", "api.openai.com")]).status == 200
    assert len(house.front.calls) == before + 1
    assert house.front.calls[-1].headers["host"] == "sts.us-east-1.amazonaws.com"


def test_people_and_roles_are_told_apart(house: House) -> None:
    told = json.loads(ask(house, house.alice, path="/auth/whoami").body)
    assert (told["user"], told["groups"], told["method"]) == ("alice", ["Dev"], "aws_iam")
    # A role's session may be called whatever its maker likes; it is the role that is let in.
    builder = token_for(house.front.assumed("ci-build", "alice"))
    told = json.loads(ask(house, builder, path="/auth/whoami").body)
    assert (told["user"], told["groups"]) == (f"role/{ACCOUNT}/ci-build", ["role/ci-build"])


@pytest.mark.parametrize("role", ["AWSReservedSSO_Ops_0123456789abcdef", "other", "Dev"])
def test_a_right_signature_of_somebody_else_is_not_enough(house: House, emulators: Emulators, role: str) -> None:
    token = token_for(house.front.assumed(role, "alice"))
    assert ask(house, token).status == 401
    with Wire(house.gateway.port) as wire:
        assert wire.connect("api.openai.com:443", token).status == 407
    assert emulators.requests() == ()


def test_keys_that_aws_does_not_know(house: House) -> None:
    unknown = replace(house.keys, access_key_id="ASIANOBODYKNOWSTHIS1")
    wrong = replace(house.keys, secret_access_key="x" * 40)
    before = len(house.front.calls)
    assert [ask(house, token_for(keys)).status for keys in (unknown, wrong)] == [401, 401]
    assert len(house.front.calls) == before + 2


def test_a_profile_s_own_helper_gives_the_keys(house: House, tmp_path: Path) -> None:
    """As `aws configure export-credentials` is used: keys that no variable holds."""
    given = {
        "Version": 1,
        "AccessKeyId": house.keys.access_key_id,
        "SecretAccessKey": house.keys.secret_access_key,
        "SessionToken": house.keys.session_token,
    }
    (tmp_path / "keys.json").write_text(json.dumps(given))
    command = shlex.join(["/bin/cat", str(tmp_path / "keys.json")])
    (tmp_path / "config").write_text(f"[profile dev]\nregion = us-east-1\ncredential_process = {command}\n")
    made = helper("--profile", "dev", "--json", AWS_CONFIG_FILE=str(tmp_path / "config"))
    told = json.loads(made.stdout)
    assert (told["host"], told["server_id"]) == ("sts.us-east-1.amazonaws.com", SERVER_ID)
    assert ask(house, told["token"]).status == 200


def test_it_is_exchanged_for_a_session(house: House) -> None:
    answer = ask(house, house.alice, "POST", "/auth/login")
    assert answer.status == 200, answer.body
    session = json.loads(answer.body)["session_token"]
    assert json.loads(ask(house, session, path="/auth/whoami").body)["user"] == "alice"


def test_neither_log_holds_a_token(house: House) -> None:
    assert ask(house, house.alice).status == 200
    with Wire(house.gateway.port) as wire:
        fields = [("Host", "api.openai.com:443"), ("Proxy-Authorization", basic(house.alice))]
        assert wire.request("CONNECT", "api.openai.com:443", fields).status == 200
    eventually(lambda: bool(house.gateway.lines("request")))
    log = house.gateway.log()
    for secret in (house.alice, house.alice[-60:], house.keys.secret_access_key, "X-Amz-Signature"):
        assert secret not in log
