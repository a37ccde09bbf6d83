"""ibm-watsonx-ai, unmodified, and watsonx by hand; behind them the gateway's own exchange of its key with IAM."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from llmauth.demo.behaviour import Behaviour
from llmauth.demo.certificates import Certificate
from llmauth.demo.emulators import Emulators
from llmauth.demo.recorder import Recorded
from tests.e2e.clients import ways
from tests.e2e.clients.sdks import Sdks
from tests.e2e.clients.ways import Way
from tests.fixtures.calls import eventually
from tests.fixtures.raw import Answer, Wire, tunnel
from tests.fixtures.serving import Serving, start
from tests.llmauth.demo.clients import ClientProblem, cloud_interpreter

MODELS, PLATFORM, IAM = "us-south.ml.cloud.ibm.com", "api.dataplatform.cloud.ibm.com", "iam.cloud.ibm.com"
EUROPE = "eu-de.ml.cloud.ibm.com"
PROJECT = "11111111-2222-3333-4444-555555555555"
SAYS = "Hello from the emulated watsonx"
INSTANCES = {"watsonx": {"type": "ibm", "default": True}, "watsonx_eu": {"type": "ibm", "region": "eu-de"}}
CHAT = "/ml/v1/text/chat?version=2026-10-14"
ASKED = {"model_id": "ibm/granite-4-h-small", "project_id": PROJECT, "messages": [{"role": "user", "content": "hello"}]}


def placeholder() -> str:
    """What the SDK takes for a token: it looks for the end that a JWT names."""
    parts = ({"alg": "none"}, {"exp": 4_102_444_800, "note": "placeholder"})
    return ".".join([*(base64.urlsafe_b64encode(json.dumps(p).encode()).rstrip(b"=").decode() for p in parts), "x"])


@pytest.fixture(scope="module")
def sdk() -> Iterator[Sdks]:
    sdk = Sdks(cloud_interpreter(), "ibm_watsonx_ai", "ibm_watsonx_ai.foundation_models")
    yield sdk
    sdk.close()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, shared_emulators: Emulators) -> Iterator[Serving]:
    key = {"WATSONX_APIKEY": shared_emulators.credentials.ibm_api_key}
    serving = start(tmp_path_factory.mktemp("watsonx"), shared_emulators, environ=key, instances=INSTANCES)
    serving.key()
    yield serving
    serving.stop()


@pytest.fixture
def gateway(running: Serving, emulators: Emulators) -> Serving:
    """One that serves watsonx in two regions, with one key for both."""
    return running


CALLS = """
import warnings
warnings.simplefilter("ignore")
models = foundation_models
client = ibm_watsonx_ai.APIClient(ibm_watsonx_ai.Credentials(url=url, token=token), project_id=project)
model = models.ModelInference(model_id="ibm/granite-4-h-small", api_client=client, project_id=project)
embeddings = models.Embeddings(model_id="ibm/slate-30m-english-rtrvr-v2", api_client=client, project_id=project)
asked = [{"role": "user", "content": [{"type": "text", "text": "hello"}]}]
chunks = [one["choices"][0] for one in model.chat_stream(messages=asked) if one["choices"]]
result = {
    "whole": model.chat(messages=asked)["choices"][0]["message"]["content"],
    "streamed": "".join(one["delta"].get("content", "") for one in chunks),
    "vectors": len(embeddings.embed_documents(["a", "b"])),
    "tokens": model.tokenize("hello", return_tokens=False)["result"]["token_count"],
    "models": [one["model_id"] for one in client.foundation_models.get_chat_model_specs()["resources"]],
}
"""


def trusting(environ: Mapping[str, str]) -> dict[str, str]:
    """Without this variable the SDK turns verification off by itself where it fails."""
    return {**environ, "WX_CLIENT_VERIFY_REQUESTS": environ["SSL_CERT_FILE"]}


def with_header(gateway: Serving) -> dict[str, str]:
    """The SDK's own variable for headers that its users want to be sent."""
    headers = base64.b64encode(json.dumps({"X-API-Key": gateway.key()}).encode()).decode()
    return {**ways.key_in_the_sdk(gateway), "IBM_SDK_API_CLIENT_HEADERS": headers}


WAYS: dict[str, Way] = {
    "key in the proxy URL": ways.key_in_the_proxy,
    "key as the token": ways.key_in_the_sdk,
    "key in a header": with_header,
}


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize(("region", "host"), [("us-south", MODELS), ("eu-de", EUROPE)])
def test_the_sdk_is_answered(
    gateway: Serving, emulators: Emulators, sdk: Sdks, name: str, region: str, host: str
) -> None:
    """Through two hosts of one instance, in two regions; each call carries a token that IAM gave to us."""
    token = gateway.key() if name == "key as the token" else placeholder()
    url = f"https://{region}.ml.cloud.ibm.com"
    said = sdk.run(CALLS, trusting(WAYS[name](gateway)), url=url, token=token, project=PROJECT)
    assert said["whole"] == said["streamed"]
    assert said["whole"].startswith(SAYS)
    assert (said["vectors"], len(said["models"])) == (2, 4)
    assert said["tokens"] > 0
    assert host in {one.host for one in emulators.requests()}
    for seen in called(emulators):
        assert_ours(gateway, emulators, seen)


def called(emulators: Emulators) -> list[Recorded]:
    """What came for the SDK: the gateway's own exchange of its key may fall into the same moment."""
    return [seen for seen in emulators.requests() if seen.host != IAM]


def assert_ours(gateway: Serving, emulators: Emulators, seen: Recorded) -> None:
    (authorization,) = seen.values("authorization")
    assert emulators.ibm_tokens.are_good(authorization.decode().removeprefix("Bearer "))
    assert gateway.key().encode() not in seen.head
    assert placeholder().encode() not in seen.head
    assert seen.host != IAM


@pytest.mark.parametrize("name", ["key in the proxy URL", "key as the token"])
def test_the_sdks_own_exchange_is_answered_and_its_call_too(
    gateway: Serving, emulators: Emulators, sdk: Sdks, name: str
) -> None:
    """With `api_key=` it asks IAM first, and gets a placeholder; what reaches IBM is a token that we asked for."""
    key = gateway.key() if name == "key as the token" else "placeholder"
    code = CALLS.replace("token=token", "api_key=token")
    said = sdk.run(code, trusting(WAYS[name](gateway)), url=f"https://{MODELS}", token=key, project=PROJECT)
    assert said["whole"].startswith(SAYS)
    for seen in called(emulators):
        assert_ours(gateway, emulators, seen)


def test_the_sdk_trusts_us_because_it_was_told_to(gateway: Serving, emulators: Emulators, sdk: Sdks) -> None:
    """So that the tests above prove something: with roots that are not ours it does not get through."""
    environ = {**ways.key_in_the_proxy(gateway), "WX_CLIENT_VERIFY_REQUESTS": str(emulators.ca_file)}
    with pytest.raises(ClientProblem, match="CERTIFICATE_VERIFY_FAILED"):
        sdk.run(CALLS, environ, url=f"https://{MODELS}", token=placeholder(), project=PROJECT)
    assert emulators.requests() == ()


def test_the_sdk_reads_our_refusals(gateway: Serving, emulators: Emulators, sdk: Sdks) -> None:
    environ = trusting(ways.key_in_the_sdk(gateway))
    with pytest.raises(ClientProblem, match="The credential is not valid"):
        sdk.run(CALLS, environ, url=f"https://{MODELS}", token="llmauth_wrong_wrong", project=PROJECT)
    assert emulators.requests() == ()


# ---- by hand -------------------------------------------------------------------------------------------------------


def ask(gateway: Serving, path: str, body: Mapping[str, Any] | None = None, *more: tuple[str, str]) -> Answer:
    headers = [("Host", "gateway"), ("X-API-Key", gateway.key()), ("Content-Type", "application/json"), *more]
    with Wire(gateway.port) as wire:
        if body is None:
            return wire.request("GET", path, headers)
        return wire.request("POST", path, headers, json.dumps(body).encode())


def code(answer: Answer) -> str:
    told = json.loads(answer.body)
    assert told["status_code"] == answer.status
    assert told["trace"]
    return str(told["errors"][0]["code"])


@pytest.mark.parametrize(
    ("path", "host"),
    [
        (f"/transparent/ibm{CHAT}", MODELS),
        (f"/transparent/watsonx{CHAT}", MODELS),
        (f"/transparent/watson{CHAT}", MODELS),
        (f"/transparent/watsonx_eu{CHAT}", EUROPE),
    ],
)
def test_by_path(gateway: Serving, emulators: Emulators, path: str, host: str) -> None:
    answer = ask(gateway, path, ASKED, ("Authorization", f"Bearer {placeholder()}"))
    assert json.loads(answer.body)["choices"][0]["message"]["content"].startswith(SAYS)
    (seen,) = emulators.requests()
    assert (seen.host, seen.target, seen.body) == (host, CHAT.encode(), json.dumps(ASKED).encode())
    assert_ours(gateway, emulators, seen)


def test_other_paths_lead_to_the_data_platform_and_never_to_iam(gateway: Serving, emulators: Emulators) -> None:
    assert ask(gateway, f"/transparent/watsonx_eu/v2/projects/{PROJECT}").status == 200
    assert ask(gateway, "/transparent/ibm/identity/token", {"grant_type": "x"}).status == 404
    hosts = [one.host for one in emulators.requests()]
    assert hosts == ["api.eu-de.dataplatform.cloud.ibm.com", PLATFORM]


@pytest.mark.parametrize("status", [400, 403, 404, 429, 500, 503])
def test_what_the_provider_itself_refuses_passes(gateway: Serving, emulators: Emulators, status: int) -> None:
    emulators.behave(MODELS, Behaviour(status=status))
    answer = ask(gateway, f"/transparent/ibm{CHAT}", ASKED)
    (seen,) = emulators.requests()
    assert (answer.status, answer.body) == (status, seen.sent_body)


def test_a_stream_passes_event_by_event(gateway: Serving, emulators: Emulators) -> None:
    answer = ask(gateway, "/transparent/ibm/ml/v1/text/chat_stream?version=2026-10-14", ASKED)
    assert answer.complete
    assert answer.body.startswith(b"id: 1\nevent: message\ndata: ")
    assert answer.body == emulators.requests()[0].sent_body


def test_a_host_of_two_instances_means_the_default_one(gateway: Serving, emulators: Emulators) -> None:
    with tunnel(gateway.port, PLATFORM, gateway.key(), gateway.ca_file) as wire:
        assert wire.request("GET", f"/v2/projects/{PROJECT}", [("Host", PLATFORM)]).status == 200
    assert gateway.lines("request")[-1]["instance"] == "watsonx"


def test_a_host_of_two_instances_without_a_default_is_refused(serve: Any, emulators: Emulators) -> None:
    instances = {"one": {"type": "ibm"}, "two": {"type": "ibm", "region": "eu-de"}}
    gateway = serve(environ={"WATSONX_APIKEY": emulators.credentials.ibm_api_key}, instances=instances)
    with tunnel(gateway.port, PLATFORM, gateway.key(), gateway.ca_file) as wire:
        answer = wire.request("GET", f"/v2/projects/{PROJECT}", [("Host", PLATFORM)])
    assert (answer.status, code(answer)) == (403, "forbidden")
    assert "one, two" in json.loads(answer.body)["errors"][0]["message"]


# ---- the exchange --------------------------------------------------------------------------------------------------


def exchanges(emulators: Emulators) -> int:
    return len(emulators.requests(IAM))


def test_one_exchange_serves_many_requests(serve: Any, emulators: Emulators) -> None:
    gateway = serve(environ={"IBM_CLOUD_API_KEY": emulators.credentials.ibm_api_key}, instances={"w": {"type": "ibm"}})
    assert [ask(gateway, f"/transparent/w{CHAT}", ASKED).status for _ in range(5)] == [200] * 5
    assert exchanges(emulators) == 1
    (asked,) = emulators.requests(IAM)
    assert asked.sni == IAM
    assert asked.values("authorization") == []
    (found,) = [line for line in gateway.lines() if "Successfully initialized" in line["message"]]
    assert found["instance"] == "w"


def test_a_token_that_was_refused_is_exchanged_anew(serve: Any, emulators: Emulators) -> None:
    """A 401 of the provider is about our token: the key is exchanged again, and the caller hears nothing of it."""
    gateway = serve(environ={"WATSONX_APIKEY": emulators.credentials.ibm_api_key}, instances={"w": {"type": "ibm"}})
    assert ask(gateway, f"/transparent/w{CHAT}", ASKED).status == 200
    (authorization,) = emulators.requests(MODELS)[-1].values("authorization")
    # Only this one: other gateways have theirs from the same emulators.
    emulators.ibm_tokens.revoke(authorization.decode().removeprefix("Bearer "))
    answer = ask(gateway, f"/transparent/w{CHAT}", ASKED)
    assert answer.status == 200
    assert b"authentication_token_not_valid" not in answer.body
    assert [one.status for one in emulators.requests(MODELS)] == [200, 401, 200]
    assert exchanges(emulators) == 2


def test_a_wrong_key_is_told_to_the_log_and_never_shown(serve: Any, emulators: Emulators) -> None:
    gateway = serve(environ={"WATSONX_APIKEY": "canary-7f3a-key"}, instances={"w": {"type": "ibm"}})
    answer = ask(gateway, f"/transparent/w{CHAT}", ASKED)
    assert (answer.status, code(answer)) == (500, "credential_unavailable")
    assert "BXNIM0415E" in gateway.log()
    assert "canary-7f3a" not in gateway.log() + answer.body.decode()
    assert {one.host for one in emulators.requests()} == {IAM}


def test_neither_key_nor_token_stands_in_a_log_at_debug_level(serve: Any, emulators: Emulators) -> None:
    """R1."""
    key = emulators.credentials.ibm_api_key
    gateway = serve(environ={"WATSONX_APIKEY": key}, instances={"w": {"type": "ibm"}})
    assert ask(gateway, f"/transparent/w{CHAT}", ASKED).status == 200
    (seen,) = emulators.requests(MODELS)
    token = seen.values("authorization")[0].decode().removeprefix("Bearer ")
    text = gateway.log()
    assert "Credentials TTL" in text
    assert key not in text
    assert token not in text
    assert token.split(".")[1] not in text


def test_a_changed_file_is_exchanged_within_five_seconds(serve: Any, emulators: Emulators, tmp_path: Path) -> None:
    secret = tmp_path / "ibm-key"
    secret.write_text(emulators.credentials.ibm_api_key)
    secret.chmod(0o600)
    strategies = {"strategies": [{"type": "file", "path": str(secret)}]}
    gateway = serve(environ={}, instances={"w": {"type": "ibm", "authentication": strategies}})
    assert ask(gateway, f"/transparent/w{CHAT}", ASKED).status == 200
    secret.write_text("wrong")
    began = time.monotonic()
    eventually(lambda: exchanges(emulators) > 1, 6.0)
    assert time.monotonic() - began < 5.0
    # What was exchanged before is good until its end.
    assert ask(gateway, f"/transparent/w{CHAT}", ASKED).status == 200


def test_a_static_token_needs_no_exchange(serve: Any, emulators: Emulators) -> None:
    environ = {"MY_TOKEN": emulators.ibm_tokens.issue()}
    strategies = {"strategies": [{"type": "environment", "variable": "MY_TOKEN"}]}
    gateway = serve(environ=environ, instances={"w": {"type": "ibm", "authentication": strategies}})
    assert ask(gateway, f"/transparent/w{CHAT}", ASKED).status == 200
    assert exchanges(emulators) == 0


def test_s5_an_iam_with_a_bad_certificate_never_sees_the_key(serve: Any, emulators: Emulators) -> None:
    with Emulators(certificate=Certificate.WRONG_NAME) as impostor:
        resolve = {**emulators.resolve, IAM: f"127.0.0.1:{impostor.port}"}
        gateway = serve(
            environ={"WATSONX_APIKEY": emulators.credentials.ibm_api_key, "OPENAI_API_KEY": "x"},
            instances={"w": {"type": "ibm"}, "openai": {"type": "openai"}},
            upstream={"resolve": resolve},
        )
        answer = ask(gateway, f"/transparent/w{CHAT}", ASKED)
        assert (answer.status, code(answer)) == (500, "credential_unavailable")
        assert "could not be verified; a private CA is added with upstream.ca_file" in gateway.log()
        assert impostor.requests() == ()
        assert impostor.connections


@pytest.mark.parametrize("behaviour", [Behaviour(hang=True), Behaviour(cut_after=20)], ids=["silent", "cut"])
def test_f2_an_iam_that_fails_holds_nothing_else_up_and_is_asked_again(
    serve: Any, emulators: Emulators, behaviour: Behaviour
) -> None:
    emulators.behave(IAM, behaviour, times=1)
    key = {"WATSONX_APIKEY": emulators.credentials.ibm_api_key, "OPENAI_API_KEY": emulators.credentials.openai_key}
    gateway = serve(environ=key, instances={"w": {"type": "ibm"}, "openai": {"type": "openai"}})
    assert ask(gateway, "/transparent/openai/v1/models").status == 200
    eventually(lambda: ask(gateway, f"/transparent/w{CHAT}", ASKED).status == 200, 12.0)
    assert {one.host for one in emulators.requests()} == {IAM, MODELS, "api.openai.com"}
