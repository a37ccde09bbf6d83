"""Anthropic's bytes for the golden cases."""

import json
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llmauth.demo import eventstream

FOLDER = Path(__file__).parents[3] / "golden" / "anthropic"
MODEL = "claude-sonnet-4-5"
ANSWERED_AS = "claude-sonnet-4-5-20250929"
ANSWER_ID = "msg_01AbCdEf"


def golden(name: str, kind: str) -> bytes:
    """One file: `request.json`, `response.json` or `stream`."""
    return (FOLDER / f"{name.replace(' ', '-')}.{kind}").read_bytes()


def events(stream: bytes) -> list[dict[str, Any]]:
    """The events of a stream, in order; their names are those of their types."""
    found = []
    for event in stream.decode("utf-8").split("\n\n")[:-1]:
        name, data = event.split("\n")
        value = json.loads(data.removeprefix("data: "))
        assert name == f"event: {value['type']}"
        found.append(value)
    return found


def chunk(event: Mapping[str, Any]) -> bytes:
    """One event in a frame of Bedrock's."""
    payload = {"bytes": b64encode(json.dumps(event).encode()).decode(), "p": "abcdefgh"}
    return eventstream.event("chunk", json.dumps(payload).encode())


def in_chunks(stream: bytes) -> bytes:
    """The same stream as Bedrock wraps it, with its measurements in the last event."""
    metrics = {"amazon-bedrock-invocationMetrics": {"inputTokenCount": 12, "outputTokenCount": 5}}
    told = [event | metrics if event["type"] == "message_stop" else event for event in events(stream)]
    return b"".join(map(chunk, told))
