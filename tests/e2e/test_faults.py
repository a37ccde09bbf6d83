"""A provider that is down, slow or broken: the designed answer, in its own shape, in time, and no second victim."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest

from llmauth.demo.behaviour import Behaviour, Framing
from llmauth.demo.certificates import Certificate
from llmauth.demo.emulators import Emulators
from tests.fixtures.calls import (
    CHAT,
    CHAT_PATH,
    DOORS,
    JSON,
    OPENAI,
    Door,
    begin,
    call,
    code,
    error,
    eventually,
    get,
    seconds,
)
from tests.fixtures.raw import Answer, Wire
from tests.fixtures.serving import Serving, free_port, start
from tests.fixtures.upstreams import full, leading_to, mute

PATIENCE = {"connect_timeout": "1s", "first_byte_timeout": "1s"}
# A tick of the clock that looks, and a busy machine.
SLACK = 1.5


RUNTIME_US, RUNTIME_EU = "bedrock-runtime.us-east-1.amazonaws.com", "bedrock-runtime.eu-west-1.amazonaws.com"
IMPOSTORS = {
    RUNTIME_US: Certificate.EXPIRED,
    RUNTIME_EU: Certificate.UNKNOWN_AUTHORITY,
    "bedrock.us-east-1.amazonaws.com": Certificate.WRONG_NAME,
}
CONVERSE = "/model/anthropic.claude-3-haiku-20240307-v1:0/converse"


@dataclass(frozen=True, slots=True)
class Waylaid:
    """A gateway whose OpenAI takes no connection, whose Anthropic is mute, and whose Bedrock is somebody else."""

    gateway: Serving
    impostors: Mapping[str, Emulators]


@pytest.fixture(scope="module")
def own_gateway(tmp_path_factory: pytest.TempPathFactory, shared_emulators: Emulators) -> Iterator[Serving]:
    serving = start(tmp_path_factory.mktemp("impatient"), shared_emulators, upstream=PATIENCE)
    serving.key()
    yield serving
    serving.stop()


@pytest.fixture
def impatient(own_gateway: Serving, emulators: Emulators) -> Serving:
    """A gateway that waits one second for a connection, and one for a first byte."""
    return own_gateway


@dataclass(frozen=True, slots=True)
class Lost:
    """A gateway whose providers are all down, and the port on which one of them is expected."""

    gateway: Serving
    port: int


@pytest.fixture(scope="module")
def lost(tmp_path_factory: pytest.TempPathFactory, shared_emulators: Emulators) -> Iterator[Lost]:
    upstream = leading_to(free_port())
    port = free_port()
    upstream["resolve"][RUNTIME_EU] = f"127.0.0.1:{port}"
    serving = start(tmp_path_factory.mktemp("lost"), shared_emulators, upstream=upstream)
    serving.key()
    yield Lost(serving, port)
    serving.stop()


@pytest.fixture(scope="module")
def waylaid(tmp_path_factory: pytest.TempPathFactory, shared_emulators: Emulators) -> Iterator[Waylaid]:
    with contextlib.ExitStack() as parts:
        queue, (silence, _) = parts.enter_context(full()), parts.enter_context(mute())
        impostors = {host: parts.enter_context(Emulators(certificate=kind)) for host, kind in IMPOSTORS.items()}
        folder = tmp_path_factory.mktemp("waylaid")
        ca_file = folder / "authorities.pem"
        ca_file.write_bytes(b"".join(one.ca_file.read_bytes() for one in impostors.values()))
        upstream = leading_to(queue, ca_file) | PATIENCE
        upstream["resolve"] |= {host: f"127.0.0.1:{one.port}" for host, one in impostors.items()}
        upstream["resolve"]["api.anthropic.com"] = f"127.0.0.1:{silence}"
        serving = start(folder, shared_emulators, upstream=upstream)
        serving.key()
        yield Waylaid(serving, impostors)
        serving.stop()


def raw(data: bytes) -> Behaviour:
    return Behaviour(raw=data)


def is_broken(answer: Answer) -> bool:
    return answer.status == 502 and code(answer) == "provider_unreachable" and answer.complete


# ---- down ----------------------------------------------------------------------------------------------------------


def post(gateway: Serving, path: str, *, slot: str = "Authorization") -> Answer:
    value = f"Bearer {gateway.key()}" if slot == "Authorization" else gateway.key()
    with Wire(gateway.port) as wire:
        return wire.request("POST", path, [("Host", "gateway"), (slot, value), JSON], CHAT)


def test_openai_is_down(lost: Lost) -> None:
    answer = post(lost.gateway, f"/transparent/openai{CHAT_PATH}")
    assert (answer.status, code(answer), error(answer)["type"]) == (502, "provider_unreachable", "server_error")
    assert answer.header("x-llmauth-fault") == "provider"
    assert "openai" in error(answer)["message"]


def test_anthropic_is_down(lost: Lost) -> None:
    answer = post(lost.gateway, "/transparent/anthropic/v1/messages", slot="x-api-key")
    assert answer.status == 502
    assert json.loads(answer.body)["type"] == "error"
    assert error(answer)["type"] == "api_error"


def test_bedrock_is_down(lost: Lost) -> None:
    answer = post(lost.gateway, f"/transparent/bedrock{CONVERSE}")
    assert answer.status == 502
    assert answer.header("x-amzn-errortype") == "InternalServerException"
    assert json.loads(answer.body)["code"] == "provider_unreachable"


def test_a_provider_that_was_down_is_tried_again_on_the_same_connection(lost: Lost) -> None:
    path, headers = f"/transparent/bedrock_eu1{CONVERSE}", [("Host", "gateway"), bearer(lost.gateway), JSON]
    with Wire(lost.gateway.port) as wire:
        assert "cannot be reached" in wire.request("POST", path, headers, CHAT).body.decode()
        with Emulators(port=lost.port):
            # Of another authority: that its certificate is refused shows that it was dialled.
            assert "certificate" in wire.request("POST", path, headers, CHAT).body.decode()


def bearer(gateway: Serving) -> tuple[str, str]:
    return "Authorization", f"Bearer {gateway.key()}"


@pytest.mark.parametrize("host", IMPOSTORS)
def test_a_bad_certificate_is_refused_before_anything_is_sent(waylaid: Waylaid, host: str) -> None:
    instance = "bedrock_eu1" if host == RUNTIME_EU else "bedrock_us1"
    path = "/foundation-models" if host.startswith("bedrock.") else CONVERSE
    method, body = ("GET", b"") if path == "/foundation-models" else ("POST", CHAT)
    with Wire(waylaid.gateway.port) as wire:
        headers = [("Host", "gateway"), bearer(waylaid.gateway), JSON]
        answer = wire.request(method, f"/transparent/{instance}{path}", headers, body)
    assert answer.status == 502
    assert "certificate" in json.loads(answer.body)["message"]
    assert waylaid.impostors[host].connections != ()
    assert waylaid.impostors[host].requests() == ()


# ---- slow ----------------------------------------------------------------------------------------------------------


def test_a_connection_that_never_comes(waylaid: Waylaid) -> None:
    answers: list[Answer] = []
    took = seconds(lambda: answers.append(call(waylaid.gateway)))
    assert (answers[0].status, code(answers[0])) == (504, "provider_timeout")
    assert 0.9 < took < 1.0 + SLACK


def test_a_handshake_that_never_ends(waylaid: Waylaid) -> None:
    headers = [("Host", "gateway"), ("x-api-key", waylaid.gateway.key()), JSON]
    with Wire(waylaid.gateway.port) as wire:
        answers = [wire.request("POST", "/transparent/anthropic/v1/messages", headers, CHAT) for _ in range(2)]
    assert [answer.status for answer in answers] == [504, 504]
    assert "could not be connected to in time" in error(answers[0])["message"]


def test_who_leaves_while_a_connection_is_made_is_no_longer_counted(waylaid: Waylaid) -> None:
    wires = [begin(waylaid.gateway, Wire(waylaid.gateway.port)) for _ in range(3)]
    eventually(lambda: b'"requests_in_flight": 4' in get(waylaid.gateway, "/health").body)
    for wire in wires:
        wire.close()
    eventually(lambda: b'"requests_in_flight": 1' in get(waylaid.gateway, "/health").body, timeout=0.8)


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)
def test_a_provider_that_never_answers(impatient: Serving, emulators: Emulators, door: Door) -> None:
    emulators.behave(OPENAI, Behaviour(hang=True))
    with door.open(impatient) as wire:
        answers: list[Answer] = []
        took = seconds(lambda: answers.append(begin(impatient, wire, door=door).answer()))
        assert (answers[0].status, code(answers[0])) == (504, "provider_timeout")
        assert 0.9 < took < 1.0 + SLACK
        emulators.wait(lambda seen: seen[0].client_gone, timeout=2)
        assert begin(impatient, wire, door=door).answer().status == 200


def test_a_slow_provider_is_waited_for(impatient: Serving, emulators: Emulators) -> None:
    emulators.behave(OPENAI, Behaviour(first_byte_delay=0.6))
    assert call(impatient).status == 200


def test_a_slow_stream_is_no_late_answer(impatient: Serving, emulators: Emulators) -> None:
    emulators.behave(OPENAI, Behaviour(body=b"x" * 40, framing=Framing.CHUNKED, chunk_size=10, chunk_delay=0.5))
    answer = call(impatient)
    assert (answer.status, answer.body, answer.complete) == (200, b"x" * 40, True)


# ---- broken --------------------------------------------------------------------------------------------------------

BROKEN = {
    "no HTTP": b"220 mail.example ESMTP\r\n\r\n",
    "nothing": b"",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "a status that is no number": b"HTTP/1.1 abc OK\r\nContent-Length: 2\r\n\r\nok",
    "a negative status": b"HTTP/1.1 -1 OK\r\nContent-Length: 2\r\n\r\nok",
    "status 999": b"HTTP/1.1 999 OK\r\nContent-Length: 2\r\n\r\nok",
    "a switch of protocols": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\nhello",
    "1xx for ever": b"HTTP/1.1 103 Early Hints\r\n\r\n" * 1000,
    "a malformed 1xx": b"HTTP/1.1 103 Early Hints\r\nA B: c\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "a head over the limit": b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200_000 + b"\r\nContent-Length: 2\r\n\r\nok",
    "a head without end": b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200_000,
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
    "length and chunks": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
    ),
    "an unknown coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: rot13, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "a blank in a name": b"HTTP/1.1 200 OK\r\nContent Length: 2\r\n\r\nok",
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_answer_is_a_designed_one(impatient: Serving, emulators: Emulators, what: str) -> None:
    """B1 for upstream answers. The client's connection is as good as before."""
    emulators.behave(OPENAI, raw(BROKEN[what]))
    with Wire(impatient.port) as wire:
        answer = call(impatient, wire=wire)
        assert is_broken(answer), answer
        assert answer.values("x-request-id") != []
        assert call(impatient, wire=wire).status == 200


def test_broken_chunks_end_the_answer_visibly(impatient: Serving, emulators: Emulators) -> None:
    emulators.behave(OPENAI, raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nok\r\n0\r\n\r\n"))
    answer = call(impatient)
    assert not answer.complete or answer.status == 502


def test_bytes_behind_an_answer_reach_no_next_one(impatient: Serving, emulators: Emulators) -> None:
    """B6: they are thrown away with the connection."""
    one = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    emulators.behave(OPENAI, raw(one + one.replace(b"ok", b"no")))
    with Wire(impatient.port) as wire:
        assert call(impatient, wire=wire).body == b"ok"
        assert b"chat.completion" in call(impatient, wire=wire).body


def test_a_connection_that_the_provider_gave_up_is_not_used(impatient: Serving, emulators: Emulators) -> None:
    emulators.behave(OPENAI, Behaviour(hang_up=True), times=5)
    with Wire(impatient.port) as wire:
        answers = [call(impatient, wire=wire) for _ in range(6)]
    # When it is closed in the very moment of its reuse nobody can know whether the request was done.
    assert all(answer.status == 200 or is_broken(answer) for answer in answers)
    assert answers[0].status == 200


@pytest.mark.parametrize("status", [400, 403, 404, 429, 500, 503, 529])
def test_what_the_provider_itself_refuses_passes(impatient: Serving, emulators: Emulators, status: int) -> None:
    emulators.behave(OPENAI, Behaviour(status=status))
    answer = call(impatient)
    (seen,) = emulators.requests()
    assert (answer.status, answer.body) == (status, seen.sent_body)
    assert answer.values("x-llmauth-fault") == []


def test_a_provider_in_trouble_is_no_trouble_of_ours(lost: Lost) -> None:
    call(lost.gateway)
    assert get(lost.gateway, "/health").status == 200
    assert get(lost.gateway, "/ready").status == 200


def test_faults_are_logged_with_their_reason_and_no_traceback(lost: Lost) -> None:
    said = call(lost.gateway).header("x-request-id")
    eventually(lambda: str(said) in lost.gateway.log())
    (line,) = [one for one in lost.gateway.lines("request") if one["request_id"] == said]
    assert (line["status"], line["code"], line["fault"]) == (502, "provider_unreachable", "provider")
    assert "Connect call failed" in line["detail"]
    assert "Traceback" not in lost.gateway.log()


def test_no_fault_broke_a_layer(impatient: Serving) -> None:
    """Runs last: all of the above went the designed way, and none by closing everything."""
    assert impatient.lines("A protocol layer failed; its connections were closed") == []
    assert impatient.lines("A stage failed; the request was refused") == []
