"""The oci SDK, unmodified, and Oracle's API by hand: signed by the client with any key, and anew by the gateway."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from llmauth.credentials.oci_key import fingerprint
from llmauth.demo.behaviour import Behaviour
from llmauth.demo.credentials import OciIdentity
from llmauth.demo.emulators import Emulators
from llmauth.demo.recorder import Recorded
from tests.e2e.clients import ways
from tests.e2e.clients.sdks import Sdks
from tests.e2e.clients.ways import Way
from tests.fixtures.calls import eventually
from tests.fixtures.raw import Answer, Wire, tunnel
from tests.fixtures.serving import Serving, start
from tests.llmauth.demo.clients import ClientProblem, cloud_interpreter

INFERENCE = "inference.generativeai.us-chicago-1.oci.oraclecloud.com"
MANAGEMENT = "generativeai.us-chicago-1.oci.oraclecloud.com"
COMPARTMENT = "ocid1.compartment.oc1..aaaa"
SAYS = "Hello from the emulated Oracle"
API_KEY = {"strategies": [{"type": "environment", "variable": "GENAI_API_KEY"}]}
INSTANCES = {
    "oracle": {"type": "oracle", "default": True},
    "oracle_eu": {"type": "oracle", "region": "eu-frankfurt-1"},
    "oracle_key": {"type": "oracle", "authentication": API_KEY},
}
CHAT = "/20231130/actions/chat"
MODELS = f"/20231130/models?compartmentId={COMPARTMENT}&capability=CHAT"
ASKED = {
    "compartmentId": COMPARTMENT,
    "servingMode": {"servingType": "ON_DEMAND", "modelId": "meta.llama-3.3-70b-instruct"},
    "chatRequest": {
        "apiFormat": "GENERIC",
        "messages": [{"role": "USER", "content": [{"type": "TEXT", "text": "hello"}]}],
    },
}


def variables(identity: OciIdentity) -> dict[str, str]:
    """Oracle's own variables."""
    return {
        "OCI_CLI_TENANCY": identity.tenancy,
        "OCI_CLI_USER": identity.user,
        "OCI_CLI_FINGERPRINT": identity.fingerprint,
        "OCI_CLI_KEY_CONTENT": identity.private_key,
    }


@pytest.fixture(scope="module")
def sdk() -> Iterator[Sdks]:
    sdk = Sdks(cloud_interpreter(), "oci", "oci.generative_ai", "oci.generative_ai_inference", "openai")
    yield sdk
    sdk.close()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, shared_emulators: Emulators) -> Iterator[Serving]:
    credentials = shared_emulators.credentials
    environ = {**variables(credentials.oci), "GENAI_API_KEY": credentials.oci_api_key}
    serving = start(tmp_path_factory.mktemp("oracle"), shared_emulators, environ=environ, instances=INSTANCES)
    serving.key()
    yield serving
    serving.stop()


@pytest.fixture
def gateway(running: Serving, emulators: Emulators) -> Serving:
    """One that serves Oracle in two regions with a signing key, and in one of them with an API key as well."""
    return running


@pytest.fixture(scope="module")
def nobody() -> dict[str, str]:
    """A configuration of the SDK that is good for nothing: a key made just now, of a user that there is not."""
    identity = OciIdentity.random()
    return {
        "user": "ocid1.user.oc1..placeholder",
        "tenancy": "ocid1.tenancy.oc1..placeholder",
        "fingerprint": identity.fingerprint,
        "key_content": identity.private_key,
    }


CLIENTS = """
m = generative_ai_inference.models
config = {**nobody, "region": region}
given = {"retry_strategy": oci.retry.NoneRetryStrategy(), **({"service_endpoint": endpoint} if endpoint else {})}
client = generative_ai_inference.GenerativeAiInferenceClient(config, **given)
control = generative_ai.GenerativeAiClient(config, **given)
for one in (client, control):
    one.base_client.session.headers.update({"X-API-Key": key_header} if key_header else {})

def ask(request, model="meta.llama-3.3-70b-instruct"):
    serving = m.OnDemandServingMode(model_id=model)
    return client.chat(m.ChatDetails(compartment_id=compartment, serving_mode=serving, chat_request=request))

turns = [m.UserMessage(content=[m.TextContent(text="hello")])]
"""

CALLS = """
import json

cohere = "cohere.command-a-03-2025"
whole = ask(m.GenericChatRequest(messages=turns)).data.chat_response
streamed = [json.loads(one.data) for one in ask(m.GenericChatRequest(messages=turns, is_stream=True)).data.events()]
other = ask(m.CohereChatRequest(message="hello"), cohere).data.chat_response
last = [json.loads(one.data) for one in ask(m.CohereChatRequest(message="hello", is_stream=True), cohere).data.events()]
serving = m.OnDemandServingMode(model_id="cohere.embed-v4.0")
details = m.EmbedTextDetails(compartment_id=compartment, serving_mode=serving, inputs=["a", "b"])
parts = [part for one in streamed if "message" in one for part in one["message"].get("content", ())]
result = {
    "generic": [whole.choices[0].message.content[0].text, "".join(part["text"] for part in parts)],
    "cohere": [other.text, "".join(one["text"] for one in last[:-1]), last[-1]["text"]],
    "vectors": len(client.embed_text(details).data.embeddings),
    "models": len(control.list_models(compartment, capability=["CHAT"]).data.items),
}
"""


def call(sdk: Sdks, environ: Mapping[str, str], nobody: Mapping[str, str], code: str = CALLS, **names: Any) -> Any:
    """What the code says, with a client of each plane."""
    given = {"region": "us-chicago-1", "endpoint": None, "key_header": None, **names}
    return sdk.run(CLIENTS + code, environ, nobody=dict(nobody), compartment=COMPARTMENT, **given)


def assert_ours(gateway: Serving, emulators: Emulators, seen: Recorded) -> None:
    """Signed with our key, once; the emulator verified it. Nothing of the client's is left."""
    (authorization,) = seen.values("authorization")
    assert f'keyId="{emulators.credentials.oci.key_id}"'.encode() in authorization
    assert len(seen.values("date")) == 1
    assert len(seen.values("x-content-sha256")) == (seen.method == b"POST")
    assert gateway.key().encode() not in seen.head
    assert b"placeholder" not in seen.head


NATIVE: dict[str, Way] = {
    "key in the proxy URL": ways.key_in_the_proxy,
    "key in a header": ways.key_in_the_sdk,
}


@pytest.mark.parametrize("name", NATIVE)
@pytest.mark.parametrize("region", ["us-chicago-1", "eu-frankfurt-1"])
def test_the_sdk_is_answered(
    gateway: Serving, emulators: Emulators, sdk: Sdks, nobody: dict[str, str], name: str, region: str
) -> None:
    header = gateway.key() if name == "key in a header" else None
    said = call(sdk, NATIVE[name](gateway), nobody, region=region, key_header=header)
    assert len({*said["generic"], *said["cohere"]}) == 1
    assert said["generic"][0].startswith(SAYS)
    assert (said["vectors"], said["models"]) == (2, 5)
    assert {one.host for one in emulators.requests()} == {
        INFERENCE.replace("us-chicago-1", region),
        MANAGEMENT.replace("us-chicago-1", region),
    }
    for seen in emulators.requests():
        assert_ours(gateway, emulators, seen)


@pytest.mark.parametrize(
    ("instance", "region"), [("oracle", "us-chicago-1"), ("oci", "us-chicago-1"), ("oracle_eu", "eu-frankfurt-1")]
)
def test_the_sdk_is_answered_by_base_url(
    gateway: Serving, emulators: Emulators, sdk: Sdks, nobody: dict[str, str], instance: str, region: str
) -> None:
    """One base URL for both planes; the path decides."""
    endpoint = ways.plain(gateway, f"/transparent/{instance}")
    said = call(sdk, {}, nobody, endpoint=endpoint, key_header=gateway.key())
    assert len({*said["generic"], *said["cohere"]}) == 1
    assert said["models"] == 5
    hosts = {one.host for one in emulators.requests()}
    assert hosts == {INFERENCE.replace("us-chicago-1", region), MANAGEMENT.replace("us-chicago-1", region)}
    for seen in emulators.requests():
        assert_ours(gateway, emulators, seen)


def refusal(sdk: Sdks, gateway: Serving, nobody: dict[str, str], **names: Any) -> ClientProblem:
    with pytest.raises(ClientProblem) as caught:
        call(sdk, ways.key_in_the_proxy(gateway), nobody, "ask(m.GenericChatRequest(messages=turns))", **names)
    assert caught.value.kind.endswith("ServiceError")
    return caught.value


def test_the_sdk_reads_oracles_errors_and_ours(
    gateway: Serving, emulators: Emulators, sdk: Sdks, nobody: dict[str, str]
) -> None:
    emulators.behave(INFERENCE, Behaviour(status=404))
    assert "NotAuthorizedOrNotFound" in refusal(sdk, gateway, nobody).message
    emulators.behave(INFERENCE, Behaviour(status=401))
    ours = refusal(sdk, gateway, nobody).message
    assert "'status': 502" in ours
    assert "credential for instance 'oracle'" in ours
    assert "NotAuthenticated" not in ours
    wrong = refusal(sdk, gateway, nobody, key_header="llmauth_wrong_wrong").message
    assert "'status': 401" in wrong
    assert "NotAuthenticated" in wrong
    # The id that its support is told of is the one in our log.
    found = re.search(r"'opc-request-id': '([\w-]+)'", wrong)
    assert found is not None
    told = found[1]
    eventually(lambda: told in gateway.log())


# ---- by hand -------------------------------------------------------------------------------------------------------


def ask(
    gateway: Serving, path: str, body: bytes | None = None, *more: tuple[str, str], method: str | None = None
) -> Answer:
    headers = [("Host", "gateway"), ("X-API-Key", gateway.key()), *more]
    if body is not None and not any(name.lower() == "content-type" for name, _ in more):
        headers.append(("Content-Type", "application/json"))
    with Wire(gateway.port) as wire:
        return wire.request(method or ("GET" if body is None else "POST"), path, headers, body or b"")


def code(answer: Answer) -> tuple[int, str]:
    told = json.loads(answer.body)
    assert answer.header("opc-request-id")
    return answer.status, told["error_code"]


def test_every_leftover_of_a_clients_own_signature_is_gone(gateway: Serving, emulators: Emulators) -> None:
    """S9: whatever the client signed with, in every spelling; the emulator refuses one header too many."""
    leftovers = (
        ("Authorization", 'Signature version="1",keyId="placeholder",algorithm="rsa-sha256",signature="x"'),
        ("Date", "Thu, 01 Jan 2026 00:00:00 GMT"),
        ("X-Date", "placeholder"),
        ("x-content-sha256", "placeholder"),
        ("X-Content-SHA256", "placeholder"),
        ("x_content_sha256", "placeholder"),
        ("opc-obo-token", "placeholder"),
        ("opc-retry-token", "kept"),
    )
    assert ask(gateway, f"/transparent/oracle{CHAT}", json.dumps(ASKED).encode(), *leftovers).status == 200
    (seen,) = emulators.requests()
    assert_ours(gateway, emulators, seen)
    assert seen.values("opc-retry-token") == [b"kept"]
    assert seen.body == json.dumps(ASKED).encode()


@pytest.mark.parametrize("path", ["/x/a%2Fb%3Ac;d?x=%20&y=a:b&&z", "/x/a%2520b?", "/x/'()*!$,~?q=%7e~&%%=?/"])
def test_odd_paths_are_signed_as_they_are_sent(gateway: Serving, emulators: Emulators, path: str) -> None:
    """Unknown to the emulator, which says so only to who is authenticated."""
    assert ask(gateway, f"/transparent/oracle{path}").status == 404
    (seen,) = emulators.requests()
    assert (seen.target, seen.status) == (path.encode(), 404)


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "POST", "PUT", "PATCH", "OPTIONS"])
def test_every_method_is_signed_in_its_own_way(gateway: Serving, emulators: Emulators, method: str) -> None:
    body = b"\x00\xffbinary" if method in ("POST", "PUT", "PATCH") else None
    kind = (("Content-Type", "application/octet-stream"),) if body else ()
    assert ask(gateway, "/transparent/oracle/20231130/unheard/of", body, *kind, method=method).status == 404
    assert emulators.requests()[0].status == 404


def test_a_body_in_chunks_is_signed_with_its_length(gateway: Serving, emulators: Emulators) -> None:
    body = json.dumps(ASKED).encode()
    head = f"POST /transparent/oracle{CHAT} HTTP/1.1\r\nHost: gateway\r\nX-API-Key: {gateway.key()}\r\n"
    head += "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    with Wire(gateway.port) as wire:
        wire.send(head.encode() + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
        assert wire.answer().status == 200
    assert emulators.requests()[0].values("content-length") == [str(len(body)).encode()]


def test_a_content_type_that_two_could_read_in_two_ways_is_refused(gateway: Serving, emulators: Emulators) -> None:
    twice = (("Content-Type", "application/json"), ("Content-Type", "text/plain"))
    assert code(ask(gateway, f"/transparent/oracle{CHAT}", b"{}", *twice)) == (400, "bad_request")
    assert emulators.requests() == ()


@pytest.mark.parametrize("status", [400, 404, 409, 429, 500, 503])
def test_what_the_provider_itself_refuses_passes(gateway: Serving, emulators: Emulators, status: int) -> None:
    emulators.behave(INFERENCE, Behaviour(status=status))
    answer = ask(gateway, f"/transparent/oracle{CHAT}", json.dumps(ASKED).encode())
    (seen,) = emulators.requests()
    assert (answer.status, answer.body) == (status, seen.sent_body)


def test_another_region_is_not_served_through_this_ones_tunnel(gateway: Serving, emulators: Emulators) -> None:
    """S2."""
    with tunnel(gateway.port, INFERENCE, gateway.key(), gateway.ca_file) as wire:
        other = INFERENCE.replace("us-chicago-1", "eu-frankfurt-1")
        assert wire.request("GET", MODELS, [("Host", other)]).status == 421
    with Wire(gateway.port) as wire:
        assert wire.connect("identity.us-chicago-1.oci.oraclecloud.com:443", gateway.key()).status == 403
    assert emulators.requests() == ()


# ---- other credentials ---------------------------------------------------------------------------------------------


OPENAI = """
client = openai.OpenAI(api_key=key, max_retries=0)
asked = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]}
streamed = "".join(one.choices[0].delta.content or "" for one in client.chat.completions.create(stream=True, **asked))
result = [client.chat.completions.create(**asked).choices[0].message.content, streamed]
"""


@pytest.mark.parametrize("instance", ["oracle_key", "oracle"])
def test_openais_client_on_oracles_compatible_paths(
    gateway: Serving, emulators: Emulators, sdk: Sdks, instance: str
) -> None:
    """With an API key as bearer, and with the signing key: the client knows of neither."""
    environ = {"OPENAI_BASE_URL": ways.plain(gateway, f"/transparent/{instance}/openai/v1")}
    whole, streamed = sdk.run(OPENAI, environ, key=gateway.key())
    assert whole == streamed
    for seen in emulators.requests():
        (authorization,) = seen.values("authorization")
        bearer = f"Bearer {emulators.credentials.oci_api_key}".encode()
        assert authorization == bearer if instance == "oracle_key" else authorization.startswith(b"Signature ")


def test_an_api_key_goes_to_no_path_that_does_not_know_it(gateway: Serving, emulators: Emulators) -> None:
    for path, body in ((CHAT, b"{}"), (MODELS, None)):
        answer = ask(gateway, f"/transparent/oracle_key{path}", body)
        assert code(answer) == (500, "credential_unavailable")
        assert b"serves paths under /openai/v1" in answer.body
    assert emulators.requests() == ()


def test_a_host_of_two_instances_means_the_default_one(gateway: Serving, emulators: Emulators) -> None:
    with tunnel(gateway.port, INFERENCE, gateway.key(), gateway.ca_file) as wire:
        asked = json.dumps(ASKED).encode()
        assert (
            wire.request("POST", CHAT, [("Host", INFERENCE), ("Content-Type", "application/json")], asked).status == 200
        )
    assert gateway.lines("request")[-1]["instance"] == "oracle"


def test_a_large_key_signs_in_a_thread_and_from_a_folder(serve: Any, emulators: Emulators, tmp_path: Any) -> None:
    key = rsa.generate_private_key(65537, 3072)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    old = emulators.credentials
    large = replace(old.oci, private_key=pem, fingerprint=fingerprint(key))
    emulators.credentials = replace(old, oci=large)
    try:
        folder = tmp_path / "oci"
        folder.mkdir(mode=0o700)
        for name, value in asdict(large).items():
            (folder / name).write_text(value)
            (folder / name).chmod(0o600)
        authentication = {"strategies": [{"type": "file", "path": str(folder)}]}
        gateway = serve(environ={}, instances={"big": {"type": "oracle", "authentication": authentication}})
        answers = [ask(gateway, f"/transparent/big{CHAT}", json.dumps(ASKED).encode()) for _ in range(3)]
        assert [one.status for one in answers] == [200] * 3
        assert pem.splitlines()[5] not in gateway.log()
    finally:
        emulators.credentials = old


def test_a_key_that_oracle_no_longer_knows_is_not_the_callers_fault(serve: Any, emulators: Emulators) -> None:
    gateway = serve(environ=variables(OciIdentity.random()), instances={"oracle": {"type": "oracle"}})
    answer = ask(gateway, f"/transparent/oracle{CHAT}", json.dumps(ASKED).encode())
    assert code(answer) == (502, "credential_rejected")
    assert emulators.requests()[0].status == 401


def test_half_a_key_is_told_to_the_log_and_never_shown(serve: Any, emulators: Emulators) -> None:
    environ = {**variables(emulators.credentials.oci), "OCI_CLI_FINGERPRINT": ":".join(["00"] * 16)}
    gateway = serve(environ=environ, instances={"oracle": {"type": "oracle"}})
    answer = ask(gateway, f"/transparent/oracle{CHAT}", b"{}")
    assert code(answer) == (500, "credential_unavailable")
    text = gateway.log()
    assert "its fingerprint is of another key than private_key" in text
    assert emulators.credentials.oci.private_key.splitlines()[5] not in text
    assert emulators.requests() == ()
