"""The items of a response's `output`, alike in a whole answer and at the end of a stream."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from llmauth.chat.messages import Citation, Finish

Status = Literal["in_progress", "completed", "incomplete", "failed"]
Json = dict[str, Any]

_CUT: Mapping[Finish, str] = {
    Finish.LENGTH: "max_output_tokens",
    Finish.CONTEXT_LENGTH: "max_output_tokens",
    Finish.CONTENT_FILTER: "content_filter",
    Finish.REFUSAL: "content_filter",
}
# OpenAI writes this for what is practically impossible; JSON has no infinity.
_IMPOSSIBLE = -9999.0


def reason(finish: Finish, *, refused: bool) -> str | None:
    """Why an answer is incomplete, `None` where it is not: a refusal in the model's own words is a whole answer."""
    return None if finish is Finish.REFUSAL and refused else _CUT.get(finish)


def item_id(kind: str, answer: str, index: int) -> str:
    """The same for an item however often it is told; `kind` is OpenAI's prefix for it."""
    return f"{kind}_{answer}_{index}"


def message(id: str, status: Status, content: list[Json]) -> Json:
    """What the model says."""
    return {"id": id, "type": "message", "status": status, "content": content, "role": "assistant"}


def text(said: str, annotations: list[Json], logprobs: list[Json]) -> Json:
    """A part of a message."""
    return {"type": "output_text", "annotations": annotations, "logprobs": logprobs, "text": said}


def refusal(said: str) -> Json:
    """A part of a message: why the model will not."""
    return {"type": "refusal", "refusal": said}


def summary(said: str) -> Json:
    """A part of a reasoning item."""
    return {"type": "summary_text", "text": said}


def reasoning(id: str, said: str, encrypted: str | None) -> Json:
    """What the model thought, and what its family wants back with it."""
    return {
        "id": id,
        "type": "reasoning",
        "summary": [summary(said)] if said else [],
        "encrypted_content": encrypted,
    }


def call(id: str, status: Status, call_id: str, name: str, arguments: str) -> Json:
    """The model asks for a function. No arguments are `{}`: clients parse what they get, unless it was cut off."""
    written = arguments.lstrip() or ("{}" if status == "completed" else "")
    return {
        "id": id,
        "type": "function_call",
        "status": status,
        "arguments": written,
        "call_id": call_id,
        "name": name,
    }


def annotation(citation: Citation, length: int) -> Json:
    """A source; where nobody says which words it is for, it is for all of them (`length`)."""
    return {
        "type": "url_citation",
        "url": citation.url,
        "title": citation.title,
        "start_index": 0 if citation.start is None else citation.start,
        "end_index": length if citation.end is None else citation.end,
    }


def logprobs(content: Iterable[object]) -> list[Json]:
    """Of a finished text, from chat's form; what lacks a token or its probability is left out."""
    return [
        {**_token(entry), "top_logprobs": [_token(other) for other in _listed(entry) if _is_token(other)]}
        for entry in content
        if isinstance(entry, Mapping) and _is_token(entry)
    ]


def without_bytes(found: list[Json]) -> list[Json]:
    """Of a moment of a stream, whose entries have fewer members than those of a finished text."""
    return [
        {
            "token": entry["token"],
            "logprob": entry["logprob"],
            "top_logprobs": [{"token": other["token"], "logprob": other["logprob"]} for other in entry["top_logprobs"]],
        }
        for entry in found
    ]


def _listed(entry: Mapping[str, Any]) -> list[Any]:
    found = entry.get("top_logprobs")
    return found if isinstance(found, list) else []


def _is_token(entry: object) -> bool:
    if not isinstance(entry, Mapping) or not isinstance(entry.get("token"), str):
        return False
    return isinstance(entry.get("logprob"), int | float)


def _token(entry: Mapping[str, Any]) -> Json:
    token, octets, logprob = entry["token"], entry.get("bytes"), entry["logprob"]
    told = isinstance(octets, list) and all(isinstance(octet, int) for octet in octets)
    return {
        "token": token,
        "bytes": octets if told else list(token.encode("utf-8", "replace")),
        "logprob": _IMPOSSIBLE if isinstance(logprob, float) and not math.isfinite(logprob) else logprob,
    }
