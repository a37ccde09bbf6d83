"""A credential that the provider refuses is replaced, and the request sent once more before the client hears of it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from llmauth.demo.behaviour import Behaviour
from llmauth.demo.credentials import DemoCredentials
from llmauth.demo.emulators import Emulators
from tests.fixtures import h2raw
from tests.fixtures.calls import CHAT, DOORS, JSON, MESSAGES, STREAM, Door, begin, call, code, get
from tests.fixtures.raw import Answer, Wire
from tests.fixtures.serving import Serving

REFUSED = Behaviour(status=401)
LONG = json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": "x" * 1_000_000}]}).encode()
CONVERSE = json.dumps({"messages": [{"role": "user", "content": [{"text": "hi"}]}]}).encode()
MESSAGES_BODY = json.dumps({"model": "claude-sonnet-4-5", "max_tokens": 50, "messages": MESSAGES}).encode()
GEMINI = json.dumps({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}).encode()


def fields_of(credentials: DemoCredentials) -> dict[str, dict[str, str]]:
    """Instance -> field -> value, as files that are mounted would have them."""
    return {
        "openai": {"api_key": credentials.openai_key},
        "anthropic": {"api_key": credentials.anthropic_key},
        "bedrock_us1": {
            "access_key_id": credentials.aws_access_key_id,
            "secret_access_key": credentials.aws_secret_access_key,
            "session_token": credentials.aws_session_token or "",
        },
        "vertex": {"token": credentials.google_token},
    }


@dataclass
class House:
    """A gateway whose credentials are files, and the providers that know other ones as soon as they are rotated."""

    gateway: Serving
    emulators: Emulators
    folder: Path

    def write(self, credentials: DemoCredentials) -> None:
        """Publish new credentials to the gateway, each set in one rename."""
        for instance, fields in fields_of(credentials).items():
            place = self.folder / instance
            fresh = self.folder / f"{instance}-{threading.get_ident()}-{id(credentials)}"
            fresh.mkdir(parents=True)
            for name, value in fields.items():
                (fresh / name).write_text(value)
            place.mkdir(exist_ok=True)
            (place / "..new").symlink_to(fresh)
            (place / "..new").rename(place / "..data")

    def rotate(self) -> None:
        """The providers take other credentials from now on, which lie where the gateway finds them."""
        credentials = DemoCredentials.random()
        self.write(credentials)
        self.emulators.credentials = credentials
        self.emulators.clear()

    def statuses(self, host: str) -> list[int | None]:
        """What the provider answered, in order."""
        return [one.status for one in self.emulators.requests() if one.host == host]


INSTANCES: Mapping[str, Mapping[str, Any]] = {
    "openai": {"type": "openai"},
    "anthropic": {"type": "anthropic"},
    "bedrock_us1": {"type": "bedrock", "region": "us-east-1"},
    "vertex": {"type": "vertex", "region": "us-central1", "project": "demo-project"},
}


@pytest.fixture
def house(tmp_path: Path, serve: Callable[..., Serving]) -> Iterator[House]:
    """One of its own for each test: a credential is taken back once in ten seconds, and no more often."""
    folder = tmp_path / "credentials"
    first = DemoCredentials.random()
    with Emulators(credentials=first, tokens=4, pace=0) as emulators:
        house = House(gateway=None, emulators=emulators, folder=folder)  # type: ignore[arg-type]
        house.write(first)
        # Read again once an hour: what makes a gateway follow here is the provider's refusal alone.
        strategies = {
            name: [{"type": "file", "path": str(folder / name / "..data"), "refresh_interval": "1h"}]
            for name in INSTANCES
        }
        instances = {
            name: {**options, "authentication": {"strategies": strategies[name]}} for name, options in INSTANCES.items()
        }
        house.gateway = serve(emulators=emulators, environ={}, instances=instances, models={})
        yield house


def ask(house: House, path: str, body: bytes, *more: tuple[str, str]) -> Answer:
    headers = [("Host", "gateway"), ("X-API-Key", house.gateway.key()), JSON, *more]
    with Wire(house.gateway.port) as wire:
        return wire.request("POST", path, [*headers, ("anthropic-version", "2023-06-01")], body)


OPENAI, ANTHROPIC = "api.openai.com", "api.anthropic.com"
BEDROCK, VERTEX = "bedrock-runtime.us-east-1.amazonaws.com", "us-central1-aiplatform.googleapis.com"
CLAUDE = "anthropic.claude-3-haiku-20240307-v1:0"
GEMINI_PATH = (
    "/v1/projects/demo-project/locations/us-central1/publishers/google/models/gemini-2.5-flash:generateContent"
)
CALLS = {
    "transparent": (OPENAI, "/transparent/openai/v1/chat/completions", CHAT),
    "anthropic": (ANTHROPIC, "/transparent/anthropic/v1/messages", MESSAGES_BODY),
    "signed": (BEDROCK, f"/transparent/bedrock_us1/model/{CLAUDE.replace(':', '%3A')}/converse", CONVERSE),
    "told by the body": (VERTEX, f"/transparent/vertex{GEMINI_PATH}", GEMINI),
    "protocol mode, passing": (OPENAI, "/openai/openai/chat/completions", CHAT),
    "protocol mode, translated": (
        BEDROCK,
        "/openai/bedrock_us1/chat/completions",
        json.dumps({"model": CLAUDE, "messages": MESSAGES}).encode(),
    ),
    "protocol mode, streamed": (
        BEDROCK,
        "/openai/bedrock_us1/chat/completions",
        json.dumps({"model": CLAUDE, "messages": MESSAGES, "stream": True}).encode(),
    ),
}


@pytest.mark.parametrize("kind", CALLS)
def test_a_rotated_credential_costs_no_request(house: House, kind: str) -> None:
    host, path, body = CALLS[kind]
    assert ask(house, path, body).status == 200
    house.rotate()
    answer = ask(house, path, body)
    assert answer.status == 200, answer.body
    first, second = house.statuses(host)
    assert first in (400, 401, 403)
    assert second == 200
    assert ask(house, path, body).status == 200
    assert house.statuses(host)[2:] == [200]


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)
@pytest.mark.parametrize("body", [STREAM, LONG], ids=["stream", "a megabyte"])
def test_by_both_doors_with_bodies_of_any_length(house: House, door: Door, body: bytes) -> None:
    house.rotate()
    with door.open(house.gateway) as wire:
        for _ in range(2):  # the connection is good for another call
            assert begin(house.gateway, wire, body, door=door).answer().status == 200
    assert house.statuses(OPENAI) == [401, 200, 200]
    asked = [one for one in house.emulators.requests() if one.host == OPENAI]
    assert asked[0].body == asked[1].body == body


def test_many_that_are_refused_together_cause_one_fetch(house: House) -> None:
    call(house.gateway)
    house.rotate()
    with ThreadPoolExecutor(40) as pool:
        answers = list(pool.map(lambda _: call(house.gateway).status, range(120)))
    assert answers == [200] * 120
    text = get(house.gateway, "/metrics", ("X-API-Key", house.gateway.key())).body.decode()
    lines = text.splitlines()
    (fetches,) = [
        line for line in lines if line.startswith('credential_refresh_total{instance="openai",result="success"}')
    ]
    assert fetches.endswith(" 2.0")  # the one of the start, and the one of the rotation
    (retries,) = [line for line in lines if line.startswith('credential_retries_total{instance="openai"}')]
    assert float(retries.rpartition(" ")[2]) == house.statuses(OPENAI).count(401) > 0


def test_the_same_credential_is_not_tried_twice(house: House) -> None:
    house.emulators.behave(OPENAI, REFUSED, times=None)
    answer = call(house.gateway)
    assert (answer.status, code(answer)) == (502, "credential_rejected")
    assert house.statuses(OPENAI) == [401]


def test_another_credential_that_is_refused_as_well_is_the_end_of_it(house: House) -> None:
    house.write(DemoCredentials.random())  # which the provider does not know either
    house.emulators.behave(OPENAI, REFUSED, times=None)
    answer = call(house.gateway)
    assert (answer.status, code(answer)) == (502, "credential_rejected")
    assert house.statuses(OPENAI) == [401, 401]


def test_where_no_credential_is_left_the_refusal_stands(house: House) -> None:
    call(house.gateway)
    house.emulators.clear()
    (house.folder / "openai" / "..data").unlink()
    house.emulators.behave(OPENAI, REFUSED, times=None)
    answer = call(house.gateway)
    assert (answer.status, code(answer)) == (502, "credential_rejected")
    assert house.statuses(OPENAI) == [401]


@pytest.mark.parametrize("how", ["hang up", "long"])
def test_however_the_refusal_ends(house: House, how: str) -> None:
    """It is read to its end and dropped, and a connection that the provider closes with it is opened anew."""
    call(house.gateway)
    house.rotate()
    refusal = Behaviour(status=401, hang_up=True) if how == "hang up" else Behaviour(status=401, body=b"x" * 60_000)
    house.emulators.behave(OPENAI, refusal)
    answer = call(house.gateway)
    assert answer.status == 200
    assert house.statuses(OPENAI) == [401, 200]


def test_a_refusal_without_an_end_is_not_kept(house: House) -> None:
    house.rotate()
    house.emulators.behave(OPENAI, Behaviour(status=401, body=b"x" * 300_000))
    answer = call(house.gateway)
    assert (answer.status, code(answer)) == (502, "credential_rejected")


def test_a_refusal_that_breaks_off_was_told_by_its_head(house: House) -> None:
    call(house.gateway)
    house.rotate()
    house.emulators.behave(OPENAI, Behaviour(status=401, body=b"x" * 1000, cut_after=10))
    assert call(house.gateway).status == 200
    assert house.statuses(OPENAI) == [401, 200]


def test_one_that_breaks_off_and_finds_no_other_credential_is_a_refusal(house: House) -> None:
    house.emulators.behave(OPENAI, Behaviour(status=401, body=b"x" * 1000, cut_after=10))
    answer = call(house.gateway)
    assert (answer.status, code(answer)) == (502, "credential_rejected")
    house.emulators.clear()
    assert call(house.gateway).status == 200


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)
def test_a_refusal_whose_body_never_ends_is_not_waited_for(house: House, door: Door) -> None:
    """Its head says all: nobody waits for as long as a provider may think."""
    house.rotate()
    house.emulators.behave(OPENAI, Behaviour(status=401, body=b"x" * 1000, stall_after=10))
    with door.open(house.gateway, timeout=8) as wire:
        answer = begin(house.gateway, wire, door=door).answer()
        assert (answer.status, code(answer)) == (502, "credential_rejected")
        house.emulators.clear()
        time.sleep(2.1)  # and what was to remind of it disturbs nobody
        assert begin(house.gateway, wire, door=door).answer().status == 200


def test_what_is_no_refusal_of_ours_passes_as_it_came(house: House) -> None:
    """Google tells only by the body; until then it is held, and then goes on unchanged."""
    host, path, body = CALLS["told by the body"]
    house.emulators.behave(host, Behaviour(status=400))
    answer = ask(house, path, body)
    assert answer.status == 400
    assert json.loads(answer.body)["error"]["code"] == 400
    assert house.statuses(host) == [400]


def test_both_tries_are_told_in_the_log_with_one_request(house: House) -> None:
    house.rotate()
    assert call(house.gateway).status == 200
    (line,) = [line for line in house.gateway.lines() if line.get("logger") == "llmauth.access"]
    assert (line["status"], line["renewed"], line["instance"]) == (200, True, "openai")
    told = "\n".join(json.dumps(line) for line in house.gateway.lines())
    assert "sk-demo-" not in told


def test_the_second_try_goes_on_the_connection_of_the_first(house: House) -> None:
    """Else each stream of a client of HTTP/2 that is refused would be a handshake more."""
    house.rotate()
    with h2raw.in_tunnel(house.gateway.port, OPENAI, house.gateway.key(), house.gateway.ca_file) as client:
        fields = (("content-type", "application/json"), ("authorization", "Bearer sk-placeholder"))
        for _ in range(2):
            head = h2raw.head("/v1/chat/completions", OPENAI, *fields, method="POST")
            assert client.request(head, CHAT).status == 200
    assert house.statuses(OPENAI) == [401, 200, 200]
    assert len({one.connection for one in house.emulators.requests() if one.host == OPENAI}) == 1
