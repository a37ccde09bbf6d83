"""The golden bytes of Converse, and the codec that they are of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from llmauth.codecs.converse.codec import ConverseProvider
from llmauth.demo import eventstream
from tests.golden.cases import Case, cases

MODEL = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
FOLDER = Path(__file__).parents[3] / "golden" / "converse"
# An image by its address and a model's own words of refusal are not in Converse: see test_request and test_response.
UNSAYABLE = ("image by link", "refusal")
CASES: dict[str, Case] = {name: case for name, case in cases("anthropic").items() if name not in UNSAYABLE}


def provider(model: str = MODEL) -> ConverseProvider:
    return ConverseProvider(model)


def _file(case: str, kind: str) -> Path:
    return FOLDER / f"{case.replace(' ', '_')}.{kind}"


def request_of(case: str) -> dict[str, Any]:
    return json.loads(_file(case, "request.json").read_text())


def response_of(case: str) -> bytes:
    return _file(case, "response.json").read_bytes()


def events_of(case: str) -> list[tuple[str, dict[str, Any]]]:
    return [tuple(json.loads(line)) for line in _file(case, "stream").read_text().splitlines()]


def frames(*events: tuple[str, Any]) -> bytes:
    """A stream of these events as AWS sends it."""
    return b"".join(eventstream.event(kind, json.dumps(payload).encode()) for kind, payload in events)


def stream_of(case: str) -> bytes:
    return frames(*events_of(case))
