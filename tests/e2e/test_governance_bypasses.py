"""Ways round a policy's models, or round a price, each over a real socket: refused, and no provider is reached."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from llmauth.demo.emulators import Emulators
from tests.fixtures.calls import JSON, MESSAGES
from tests.fixtures.clouds import CLOUDS, cloud_environment
from tests.fixtures.raw import Answer, Wire
from tests.fixtures.serving import INSTANCES, Serving, provider_environment, start
from tests.fixtures.sockets import ask, handshake

HAIKU = "anthropic.claude-haiku-4-5-20251001-v1:0"
CLAUDE = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 5, "messages": MESSAGES}
MAY = {"model": "gpt-4o-mini", "messages": MESSAGES}
OPENAI, AZURE = "/transparent/openai/v1", "/transparent/azure_us/openai"
VERTEX = "/transparent/vertex_us/v1/projects/p/locations/us-central1"
OF_AZURE = "?api-version=2024-10-21"
FORM = ("Content-Type", "application/x-www-form-urlencoded")
ON_DEMAND = {"servingType": "ON_DEMAND", "modelId": "allowed-x"}
DEDICATED = {"servingType": "DEDICATED", "modelId": "allowed-x", "endpointId": "ocid1.evil"}
BATCH = [{"custom_id": "a", "params": {"model": "claude-opus-5", "max_tokens": 9, "messages": MESSAGES}}]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, shared_emulators: Emulators) -> Iterator[Serving]:
    """One gateway with every kind of provider, where callers may use some models, and `rich` has a budget."""
    folder = tmp_path_factory.mktemp("bypasses")
    prices = folder / "prices.yaml"
    prices.write_text(json.dumps({"gpt-4o-mini": {"input": 1}, "o3": {"input": 1000}, "cheap": {"input": 0}}))
    named = {"strategies": [{"type": "environment", "variable": "ORACLE_KEY"}]}
    credentials = shared_emulators.credentials
    serving = start(
        folder,
        shared_emulators,
        environ={
            **provider_environment(shared_emulators),
            **cloud_environment(shared_emulators),
            "IBM_CLOUD_API_KEY": credentials.ibm_api_key,
            "ORACLE_KEY": credentials.oci_api_key,
        },
        instances={
            **INSTANCES,
            **CLOUDS,
            "ibm": {"type": "ibm"},
            "oracle": {"type": "oracle", "authentication": named},
        },
        models={"allowed-alias": {"instance": "bedrock_us1", "model": HAIKU}},
        prices=str(prices),
        policies={
            "default": {"models": ["gpt-4o-mini", "allowed*"]},
            "users": {
                "rich": {"models": ["*"], "budget": {"amount": 100, "per": "day"}},
                "poor": {"models": ["*"], "budget": {"amount": 0.01, "per": "day"}},
                "counted": {"models": ["*"], "tpm": 1000},
                "elsewhere": {"models": ["*"], "instances": ["openai"]},
            },
        },
    )
    for name in ("test", "rich", "poor", "counted", "elsewhere"):
        serving.key(name)
    yield serving
    serving.stop()


@pytest.fixture(scope="module")
def wire(house: Serving) -> Iterator[Wire]:
    """One connection for all: a head that was judged before must not shorten the way of the next body."""
    with Wire(house.port, timeout=20) as wire:
        yield wire


def send(
    house: Serving,
    wire: Wire,
    path: str,
    body: Any,
    *more: tuple[str, str],
    method: str = "POST",
    key: str = "test",
) -> Answer:
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    kind = [] if any(name == "Content-Type" for name, _ in more) else [JSON]
    return wire.request(method, path, [("Host", "gateway"), ("X-API-Key", house.key(key)), *kind, *more], body)


def reached(emulators: Emulators) -> list[bytes]:
    """What a provider was asked, tokens of identity services apart."""
    return [request.target for request in emulators.requests() if b"identity" not in request.target]


@pytest.mark.parametrize(
    ("path", "body", "more"),
    [
        # H3: the deployment is what Azure reads, however it is written.
        (f"{AZURE}/deployments/thinker/chat/completions{OF_AZURE}", MAY, ()),
        (f"{AZURE}/%64eployments/thinker/chat/completions{OF_AZURE}", MAY, ()),
        (f"{AZURE}/deployments/thinker/chat/completion%73{OF_AZURE}", MAY, ()),
        (f"{AZURE}/Deployments/thinker/chat/completions{OF_AZURE}", MAY, ()),
        (f"{AZURE}/deployments/thinker/chat/completions/{OF_AZURE}", MAY, ()),
        (f"{AZURE}/deployments/thinker/extensions/chat/completions{OF_AZURE}", MAY, ()),
        (f"{AZURE}/deployments/allowed/x/deployments/thinker/chat/completions{OF_AZURE}", MAY, ()),
        # H4: a second model in an allowed request.
        (f"{OPENAI}/chat/completions", {**MAY, "models": ["gpt-4o"]}, ()),
        (f"{OPENAI}/chat/completions", {**MAY, "fallbacks": [{"model": "gpt-4o"}]}, ()),
        (f"{OPENAI}/responses", {**MAY, "tools": [{"type": "image_generation", "model": "gpt-image-1"}]}, ()),
        ("/openai/openai/v1/responses", {**MAY, "input": "x", "tools": [{"type": "x", "model": "o3"}]}, ()),
        ("/v1/chat/completions", {**MAY, "models": ["gpt-4o"]}, ()),
        ("/transparent/anthropic/v1/messages", {**CLAUDE, "model": "allowed-x", "tools": [{"model": "o3"}]}, ()),
        ("/transparent/anthropic/v1/messages/batches", {"model": "allowed-x", "requests": BATCH}, ()),
        (f"{OPENAI}/batches", {"model": "gpt-4o-mini", "input_file_id": "file-1"}, ()),
        (f"{OPENAI}/files", {"model": "gpt-4o-mini"}, ()),
        ("/transparent/bedrock/model/allowed/invoke", {**CLAUDE, "tools": [{"model": "o3"}]}, ()),
        # H5: members of other names beside the one that counts.
        ("/transparent/oracle/openai/v1/chat/completions", {"model": "grok-4", "servingMode": ON_DEMAND}, ()),
        ("/transparent/oracle/20231130/actions/chat", {"compartmentId": "c", "servingMode": DEDICATED}, ()),
        ("/transparent/ibm/ml/gateway/v1/chat/completions", {"model": "evil", "model_id": "allowed-x"}, ()),
        ("/transparent/ibm/ml/v1/deployments/evil/text/chat?version=2025-01-01", {"model_id": "allowed-x"}, ()),
        # H6: where the body names the model although most paths do.
        ("/transparent/bedrock/openai/v1/chat/completions", {**MAY, "model": "openai.gpt-oss-20b-1:0"}, ()),
        ("/transparent/bedrock/async-invoke", {"modelId": "amazon.nova-reel-v1:0", "model": "gpt-4o-mini"}, ()),
        (f"{VERTEX}/endpoints/openapi/chat/completions", {**MAY, "model": "google/gemini-2.5-pro"}, ()),
        (f"{VERTEX}/endpoints/123:generateContent", {"model": "gpt-4o-mini", "contents": []}, ()),
        (f"{VERTEX}/publishers/google/model%73/gemini-2.5-pro:generateContent", {"model": "gpt-4o-mini"}, ()),
        (f"/model/{HAIKU}/invoke", CLAUDE, ()),
        ("/v1/bedrock/invoke-model", {"modelId": HAIKU, "body": CLAUDE}, ()),
        # What two readers would read differently.
        (f"{OPENAI}/chat/completions", b'{"model":"gpt-4o-mini","model":"gpt-4o"}', ()),
        (f"{OPENAI}/chat/completions", b'{"model":"gpt-4o-mini","Model":"gpt-4o"}', ()),
        (f"{OPENAI}/chat/completions", b'{"model":"gpt-4o-mini","x":"&model=gpt-4o&"}', (FORM,)),
        (f"{OPENAI}/chat/completions?model=gpt-4o", MAY, ()),
    ],
)
def test_no_other_model_works_for_who_may_use_only_some(
    house: Serving, wire: Wire, emulators: Emulators, path: str, body: Any, more: tuple[tuple[str, str], ...]
) -> None:
    emulators.clear()
    answer = send(house, wire, path, body, *more)
    assert answer.status == 403, answer.body
    assert b"model" in answer.body
    assert not reached(emulators)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (f"{OPENAI}/chat/completions", MAY),
        (f"{OPENAI}/chat/completions", {**MAY, "metadata": {"model": "Tesla"}}),
        ("/openai/openai/v1/chat/completions", MAY),
        ("/v1/bedrock/invoke-model", {"modelId": "allowed-alias", "body": CLAUDE}),
        ("/model/allowed-alias/invoke", CLAUDE),
    ],
)
def test_what_is_allowed_passes_and_so_does_an_allowed_alias(house: Serving, wire: Wire, path: str, body: Any) -> None:
    answer = send(house, wire, path, body)
    assert answer.status == 200, answer.body


@pytest.mark.parametrize("path", ["/transparent/oracle/openai/v1/chat/completions", "/transparent/ibm/ml/gateway/v1/x"])
def test_h5_what_is_allowed_is_not_refused_by_us(house: Serving, wire: Wire, path: str) -> None:
    answer = send(house, wire, path, {"model": "allowed-x", "messages": MESSAGES})
    assert answer.header("x-llmauth-fault") != "policy", answer.body


@pytest.mark.parametrize(
    "field", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "x_http_method_override"]
)
def test_a_get_in_disguise_is_none(house: Serving, wire: Wire, emulators: Emulators, field: str) -> None:
    path = f"{VERTEX}/endpoints/openapi/chat/completions"
    emulators.clear()
    assert send(house, wire, path, b"", (field, "POST"), method="GET").status in (400, 403)
    assert send(house, wire, path, MAY | {"model": "evil"}, method="GET").status == 403
    assert not reached(emulators)


def test_what_only_reads_passes(house: Serving, wire: Wire) -> None:
    for path in (f"{OPENAI}/models", f"{OPENAI}/files", f"{OPENAI}/batches"):
        assert send(house, wire, path, b"", method="GET").header("x-llmauth-fault") != "policy"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"{OPENAI}/responses", 426),
        (f"{OPENAI}/responses?model=gpt-4o-mini", 426),
        (f"{OPENAI}/realtime?model=gpt-realtime", 403),
        (f"{OPENAI}/realtime?model=gpt-4o-mini&model=gpt-realtime", 403),
        (f"{OPENAI}/realtime?model=allowed;model=gpt-realtime", 403),
        (f"{OPENAI}/realtime?model=gpt-4o-mini&deployment=thinker", 403),
        (f"{AZURE}/realtime?deployment=thinker&model=gpt-4o-mini", 403),
        (f"{AZURE}/realtime?deployment=thinker", 403),
        (f"{AZURE}/v1/responses?model=gpt-4o-mini", 426),
        (f"{OPENAI}/realtime?model=gpt-4o-mini", 101),
    ],
)
def test_h1_h2_a_socket_is_opened_only_where_its_handshake_decides(
    house: Serving, emulators: Emulators, path: str, status: int
) -> None:
    emulators.clear()
    with Wire(house.port, timeout=20) as wire:
        answer = ask(wire, path, handshake(("X-API-Key", house.key())))
    assert answer.status == status, answer.body
    assert bool(reached(emulators)) is (status == 101)


@pytest.mark.parametrize("name", ["rich", "counted"])
def test_h7_no_socket_where_its_messages_would_have_to_be_counted(
    house: Serving, emulators: Emulators, name: str
) -> None:
    emulators.clear()
    with Wire(house.port, timeout=20) as wire:
        answer = ask(wire, f"{OPENAI}/realtime?model=gpt-4o-mini", handshake(("X-API-Key", house.key(name))))
    assert (answer.status, json.loads(answer.body)["error"]["code"]) == (426, "upgrade_refused")
    assert b"unread" in answer.body
    assert not reached(emulators)


@pytest.mark.parametrize(
    ("path", "body", "more"),
    [
        (f"{OPENAI}/chat/completions", {**MAY, "model": "gpt-4o"}, ()),
        ("/v1/chat/completions", {**MAY, "model": "gpt-4o"}, ()),
        (f"{OPENAI}/chat/completions", b'{"model":"gpt-4o-mini","model":"gpt-4o"}', ()),
        (f"{OPENAI}/chat/completions", {**MAY, "models": ["gpt-4o"]}, ()),
        (f"{OPENAI}/audio/transcriptions", b"--x--", (("Content-Type", "multipart/form-data; boundary=x"),)),
        ("/v1/bedrock/invoke-model", {"modelId": "allowed-alias", "body": CLAUDE}, ()),
        ("/model/allowed-alias/invoke", CLAUDE, ()),
        ("/transparent/bedrock/openai/v1/chat/completions", {**MAY, "model": "openai.gpt-oss-20b-1:0"}, ()),
        (f"{VERTEX}/endpoints/openapi/chat/completions", {**MAY, "model": "google/gemini-2.5-pro"}, ()),
        (f"{OPENAI}/batches", {"model": "gpt-4o-mini", "input_file_id": "file-1"}, ()),
    ],
)
def test_h6_a_budget_is_not_got_around_by_what_has_no_price(
    house: Serving, wire: Wire, emulators: Emulators, path: str, body: Any, more: tuple[tuple[str, str], ...]
) -> None:
    emulators.clear()
    answer = send(house, wire, path, body, *more, key="rich")
    assert answer.status == 403, answer.body
    assert b"budget" in answer.body
    assert not reached(emulators)


def test_a_budget_pays_for_the_dearest_of_several_models(house: Serving, wire: Wire) -> None:
    assert send(house, wire, f"{OPENAI}/chat/completions", {**MAY, "model": "cheap"}, key="poor").status != 429
    dear = send(house, wire, f"{OPENAI}/chat/completions", {**MAY, "model": "cheap", "models": ["o3"]}, key="poor")
    assert dear.status == 429


def test_a_budget_takes_nothing_from_what_needs_no_model(house: Serving, wire: Wire) -> None:
    assert send(house, wire, f"{OPENAI}/models", b"", method="GET", key="rich").status == 200
    assert send(house, wire, f"{OPENAI}/chat/completions", MAY, key="rich").status == 200


def test_no_answer_of_our_own_for_what_is_not_allowed(house: Serving, wire: Wire) -> None:
    path, body = "/v1/messages/count_tokens", {"model": "openai/o3", "messages": MESSAGES}
    assert send(house, wire, path, body, key="rich").status == 200
    assert send(house, wire, path, body).status == 403
    there = {"model": "azure_us/chat", "messages": MESSAGES}
    assert send(house, wire, path, there, key="elsewhere").status == 403


@pytest.mark.parametrize(
    "value",
    [
        b"[" + b"[]," * 10_800_000 + b"0]",
        b"[" + b"[]," * 490_000 + b"0]",
        b"[" + b"0," * 990_000 + b"0]",
        b"{" + b",".join(b'"%d":0' % number for number in range(1_500_000)) + b"}",
        b"{" + b",".join(b'"%d":0' % number for number in range(199_000)) + b"}",
    ],
    ids=["31 MB of lists", "lists", "numbers", "20 MB of names", "names"],
)
def test_m2_a_body_of_many_things_holds_nobody_else_up(house: Serving, emulators: Emulators, value: bytes) -> None:
    body = b'{"model":"gpt-4o","a":' + value + b"}"
    waited, over = [], threading.Event()

    def look() -> None:
        with Wire(house.port, timeout=20) as other:
            while not over.is_set():
                began = time.monotonic()
                assert other.request("GET", "/health", [("Host", "gateway")]).status == 200
                waited.append(time.monotonic() - began)
                time.sleep(0.002)

    emulators.clear()
    looking = threading.Thread(target=look)
    looking.start()
    with Wire(house.port, timeout=30) as own:
        answer = send(house, own, f"{OPENAI}/chat/completions", body)
    over.set()
    looking.join()
    assert answer.status == 403
    assert max(waited) < 0.25
    assert not reached(emulators)
