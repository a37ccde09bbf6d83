"""What every emulator does alike: the order of its judgements, what it never lets pass, and how it reads JSON."""

from __future__ import annotations

import time

import pytest

from llmauth.demo.behaviour import ORDINARY, Behaviour
from llmauth.demo.credentials import DemoCredentials
from llmauth.demo.emulator import Answer, Call, Emulator, Refusal, Setting, Unparsable, is_echo, json_object
from llmauth.demo.http1 import Field, Parser


class Small(Emulator):
    hosts = frozenset({"a.b"})
    may_carry = frozenset({b"api-key"})

    def authenticate(self, call: Call) -> None:
        if call.header(b"api-key") != "good":
            raise self.failure(401, None)

    def route(self, call: Call) -> Answer:
        return self.json(call, {"path": call.path, "query": call.query})

    def failure(self, status: int, error: str | None) -> Refusal:
        return Refusal(status, error or "kind", "sentence")

    def render(self, refusal: Refusal) -> Answer:
        return Answer(refusal.status, [], f"{refusal.kind}: {refusal.message}".encode())

    def fields(self, call: Call) -> list[Field]:
        return [(b"x-id", b"1")]


def asked(target: str = "/x", behaviour: Behaviour = ORDINARY, body: bytes = b"", **fields: str) -> Call:
    lines = [f"POST {target} HTTP/1.1", "Host: a.b", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    parser = Parser()
    parser.feed("\r\n".join([*lines, "", ""]).encode() + body)
    request = parser.next_request()
    assert request is not None
    return Call("a.b", request, behaviour, 24)


@pytest.fixture
def small() -> Small:
    return Small(Setting(credentials=DemoCredentials.random(), wall=time.time))


def test_a_good_call_is_routed(small: Small) -> None:
    answer = small.answer(asked("/x%2Fy?z=1", api_key="good"))
    assert (answer.status, answer.body) == (200, b'{"path":"/x%2Fy","query":"z=1"}')
    assert (b"x-id", b"1") in answer.fields


def test_the_credential_is_judged_before_the_behaviour(small: Small) -> None:
    assert small.answer(asked(behaviour=Behaviour(status=503), api_key="bad")).status == 401
    assert small.answer(asked(behaviour=Behaviour(status=503, error="Odd"), api_key="good")).body == b"Odd: sentence"


@pytest.mark.parametrize("name", ["x_api_key", "proxy_authorization", "x_amz_security_token", "x_llmauth_hint"])
def test_leftovers_are_judged_first(small: Small, name: str) -> None:
    answer = small.answer(asked("/x", ORDINARY, b"", **{name: "left"}))
    assert answer.status == 400
    assert name.replace("_", "-").encode() in bytes(answer.body)  # type: ignore[arg-type]


def test_tokens_are_bounded_by_request_and_behaviour() -> None:
    assert asked().tokens(None) == 24
    assert asked().tokens(5) == 5
    assert asked(behaviour=Behaviour(tokens=100)).tokens(50) == 50


@pytest.mark.parametrize(
    ("path", "echoes"), [("/v1/echo/x", True), ("/echo/x", True), ("/v1/echo", False), ("/v2/echo/x", False)]
)
def test_echo_paths(path: str, echoes: bool) -> None:
    assert is_echo(path) is echoes


def test_json_needs_its_content_type_or_a_usual_one() -> None:
    assert json_object(asked(body=b'{"a":1}', content_type="application/json; charset=utf-8")) == {"a": 1}
    assert json_object(asked(body=b"{}"), b"application/json") == {}
    with pytest.raises(Unparsable, match="content type"):
        json_object(asked(body=b"{}"))


@pytest.mark.parametrize("body", [b"", b"[1]", b"{", b"[" * 100_000])
def test_json_that_is_no_object_is_told(body: bytes) -> None:
    with pytest.raises(Unparsable):
        json_object(asked(body=body, content_type="application/json"))
