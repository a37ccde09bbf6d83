"""Error events after a stream that passes: their form by path, and where one may stand."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmauth.codecs.last_words import ends_an_event, is_known, last_word
from llmauth.errors import Draining

ERROR = Draining("This gateway is shutting down.")


def read(event: bytes) -> tuple[str, Any]:
    lines = event.decode().removesuffix("\n\n").split("\n")
    fields = dict(line.split(": ", 1) for line in lines)
    return fields.get("event", ""), json.loads(fields["data"])


@pytest.mark.parametrize(
    ("path", "name", "inner"),
    [
        ("/v1/chat/completions", "", ("error",)),
        ("/openai/deployments/a/chat/completions?api-version=1", "", ("error",)),
        ("/v1/responses", "error", ("error",)),
        ("/v1/messages", "error", ("error",)),
    ],
)
def test_each_format_says_it_in_its_own_way(path: str, name: str, inner: tuple[str, ...]) -> None:
    said, data = read(last_word(path, ERROR))
    assert (said, is_known(path)) == (name, True)
    assert data.get("type") == ("error" if name else None)
    assert data[inner[0]]["message"].startswith("This gateway is shutting down.")


@pytest.mark.parametrize("path", ["/model/m/invoke-with-response-stream", "/v1/audio/speech", "/", "/v1/responsesx"])
def test_what_is_not_known_gets_no_word(path: str) -> None:
    assert (is_known(path), last_word(path, ERROR)) == (False, b"")


@pytest.mark.parametrize(
    ("tail", "ends"),
    [(b'"}\n\n', True), (b"\r\n\r\n", True), (b"}\r\r", True), (b'"}\n', False), (b'"a":', False), (b"", False)],
)
def test_an_event_has_ended_or_not(tail: bytes, ends: bool) -> None:
    assert ends_an_event(tail) is ends
