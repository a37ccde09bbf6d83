"""Every model that a request could have work is found, and what could mean another is not certain."""

from __future__ import annotations

import json
import time

import pytest

from llmauth.http import Door, Headers, Request, Url
from llmauth.providers.named import Call, Named, at, beside, named, read, works_later

CHAT = "/v1/chat/completions"


def call(body=b"{}", path=CHAT, method="POST", **fields):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = Headers((name.replace("_", "-").encode(), value) for name, value in fields.items())
    return Call(method=method, path=path, headers=headers, body=body)


@pytest.mark.parametrize(
    ("body", "model"),
    [
        (b'{"model":"gpt-5","messages":[]}', "gpt-5"),
        (b'{"mod\\u0065l":"gpt-5"}', "gpt-5"),
        (b'{"model":7}', None),
        (b'{"model":""}', None),
        (b'{"model":["gpt-5"]}', None),
        (b'{"model":{"id":"gpt-5"}}', None),
        (b'{"Model":"gpt-5"}', None),
        (b'{"model":"gpt-5","model":"gpt-5"}', None),
        (b'{"model":"gpt-5","MODEL":"gpt-4"}', None),
        (b'["model"]', None),
        (b"", None),
        (b"\xff\xfe", None),
        ('{"model":"gpt-5"}'.encode("utf-16"), None),
        (b"\xef\xbb\xbf" + b'{"model":"gpt-5"}', None),
        (b"--boundary\r\n", None),
        (b"[" * 100_000, None),
        (b'{"model":"' + b"x" * 300 + b'"}', "x" * 200),
    ],
)
def test_the_model_is_read_where_there_is_one(body, model):
    assert (named(call(body)).model, named(call(body)).certain) == (model, model is not None)


@pytest.mark.parametrize(
    "more",
    [
        {"tools": [{"type": "advisor_20260301", "name": "advisor", "model": "e"}]},
        {"tools": [{"type": "image_generation", "model": "e"}]},
        {"tools": [{"type": "openrouter:image", "parameters": {"model": "e"}}]},
        {"models": ["e"]},
        {"models": ["m", "e"]},
        {"fallbacks": ["e"]},
        {"fallbacks": [{"model": "e"}]},
        {"fallback_models": "e"},
        {"extra_body": {"models": ["e"]}},
        {"session": {"audio": {"output": {"model": "e"}}}},
        {"plugins": [{"id": "auto-router", "allowed_models": ["e"]}]},
        {"Model_ID": "e"},
        {"routing": {"deployment_id": "e"}},
        {"modelUri": "e"},
        {"generationConfig": {"routingConfig": {"manualMode": {"modelName": "e"}}}},
    ],
)
def test_h4_a_second_model_is_named_wherever_it_stands(more):
    told = named(call({"model": "m", **more}))
    assert told == Named(model="m", others=("e",), certain=True)
    request = Request(
        method="POST", url=Url("http", "g", 80, CHAT), headers=Headers(), door=Door.GATEWAY, body=call(more).body
    )
    assert "e" in beside(request).others


@pytest.mark.parametrize(
    "said",
    [
        {"messages": [{"role": "user", "content": [{"type": "tool_use", "input": {"model": "Tesla"}}]}]},
        {"input": [{"model": "Tesla"}]},
        {"metadata": {"model": "Tesla"}},
        {"tools": [{"function": {"parameters": {"properties": {"model": {"type": "string"}}}}}]},
        {"response_format": {"json_schema": {"schema": {"required": ["model"], "properties": {"model": {}}}}}},
    ],
)
def test_what_is_said_and_how_it_is_to_look_names_no_model(said):
    assert named(call({"model": "m", **said})) == Named(model="m", certain=True)


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"m","tools":[{"model":"m","model":"e"}]}',
        b'{"model":"m","tools":[{"model":"m","Model":"m"}]}',
        b'{"model":"m","models":[7]}',
        b'{"model":"m","agent":{"type":"agent_reference","name":"a"}}',
        b'{"model":"m","assistant_id":"a"}',
        b'{"model":"m","fallbacks":[{"m":["e"]}]}',
        b'{"model":"m"} {"model":"e"}',
        b'{"model":"m"}\x00',
        json.dumps({"model": "m", "models": [f"e{number}" for number in range(1000)]}).encode(),
    ],
)
def test_what_two_readers_read_differently_is_not_certain(body):
    assert not named(call(body)).certain


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        (CHAT, {"content_type": b"application/x-www-form-urlencoded"}),
        (CHAT, {"content_type": b"multipart/form-data; boundary=x"}),
        (CHAT, {"content_type": b"application/json; charset=utf-7"}),
        (CHAT, {"content_encoding": b"gzip"}),
        ("/v1/batches", {}),
        ("/v1/B%61tches", {}),
        ("/v1/files", {}),
        ("/v1/threads/t/runs", {}),
        ("/v1/realtime/client_secrets", {}),
        ("/v1/chat%2563/completions", {}),
        ("/v1/chat;x/completions", {}),
    ],
)
def test_what_a_server_could_read_otherwise_is_not_certain(path, fields):
    told = named(call({"model": "m"}, path, **fields))
    assert (told.model, told.certain) == ("m", False)


@pytest.mark.parametrize(
    "kind", [b"application/json", b'application/json; charset="utf-8"', b"text/plain; charset=UTF-8"]
)
def test_usual_types_are_certain(kind):
    assert named(call({"model": "m"}, content_type=kind)).certain
    assert named(call({"model": "m"})).certain


def test_a_parameter_and_a_field_of_the_head_may_name_one():
    assert named(call({"model": "m"}, f"{CHAT}?Deployment=e&x=1")).others == ("e",)
    assert named(call({"model": "m"}, azureml_model_deployment=b"e")).others == ("e",)


def test_batches_name_a_model_in_each_request():
    path = "/v1/messages/batches"
    requests = [{"custom_id": str(n), "params": {"model": model, "messages": []}} for n, model in enumerate("aab")]
    assert named(call({"requests": requests}, path)) == Named(model="a", others=("b",), certain=True)
    assert not named(call({"model": "m", "requests": [*requests, {"params": {}}]}, path)).certain
    assert not named(call({"model": "m"}, path)).certain


@pytest.mark.parametrize(
    ("path", "method", "body", "fields", "reads"),
    [
        ("/v1/models", "GET", b"", {}, True),
        ("/v1/models", "HEAD", b"", {}, True),
        ("/v1/files/f", "DELETE", b"", {}, False),
        (CHAT, "GET", b'{"messages":[]}', {}, False),
        (CHAT, "GET", b"", {"x_http_method_override": b"POST"}, False),
        (CHAT, "GET", b"", {"x_http_method": b"POST"}, False),
        (CHAT, "GET", b"", {"X_Method_Override": b"GET"}, False),
        (f"{CHAT}?_method=POST", "GET", b"", {}, False),
    ],
)
def test_a_get_in_disguise_does_not_only_read(path, method, body, fields, reads):
    told = named(call(body, path, method, **fields))
    assert (told.reads, told.certain) == (reads, reads)


@pytest.mark.parametrize(
    ("path", "later"),
    [
        ("/v1/batches", True),
        ("/v1/Messages/batches?x", True),
        ("/v1/projects/p/locations/l/batchPredictionJobs", True),
        ("/model-invocation-job", True),
        ("/async-invoke", True),
        ("/v1/batches/b/cancel", False),
        (CHAT, False),
        ("/v1/files", False),
    ],
)
def test_what_is_answered_later(path, later):
    assert works_later(path) is later


@pytest.mark.parametrize("unit", [b"[],", b'{"a":0.5},', b"[[[[[[1]]]]]],", b"0,", b'"",'])
def test_m2_a_body_that_would_take_long_is_not_read(unit):
    size = 31 * 1024 * 1024
    began = time.process_time()
    assert read(b'{"model":"m","a":[' + unit * (size // len(unit)) + b"0]}") is None
    assert time.process_time() - began < 0.5


def test_m2_nor_one_with_many_names():
    names = b",".join(b'"%d":0' % number for number in range(300_000))
    assert read(b'{"model":"m","a":{' + names + b"}}") is None
    some = b",".join(b'"%d":0' % number for number in range(60_000))
    assert not named(call(b'{"model":"m","a":{' + some + b"}}")).certain
    assert named(call(b'{"model":"m","messages":[{' + some + b"}]}")).certain


def test_a_member_of_another_name():
    assert named(call({"a": {"b": "m"}}), main=at("a", "b")).model == "m"
    assert named(call({"a": {"b": "m", "B": "n"}}), main=at("a", "b")).model is None
