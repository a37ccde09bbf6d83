"""A whole neutral answer as a response object."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from llmauth.chat.messages import ChatResponse, Choice, Finish, Part, Redacted, Refusal, Text, Thinking, ToolCall
from llmauth.codecs.base import Answering
from llmauth.codecs.responses import output
from llmauth.codecs.responses.frame import Frame
from llmauth.codecs.responses.output import Json, Status
from llmauth.codecs.responses.sealing import sealed
from llmauth.codecs.responses.writing import dumps


def render(response: ChatResponse, answering: Answering) -> bytes:
    """The body. Responses has no place for more than one answer, and no way to ask for it."""
    choice = response.choices[0] if response.choices else Choice(parts=(), finish=Finish.STOP)
    refused = any(isinstance(part, Refusal) for part in choice.parts)
    reason = output.reason(choice.finish, refused=refused)
    told = Frame(answering).told(
        "completed" if reason is None else "incomplete",
        _items(choice, answering.id, complete=reason is None),
        usage=response.usage,
        reason=reason,
        service_tier=response.service_tier,
    )
    return dumps(told)


def _items(choice: Choice, answer: str, *, complete: bool) -> list[Json]:
    """In the order of the parts; texts and refusals that follow each other are one message."""
    groups = _groups(choice.parts)
    if not groups and complete:
        groups = [[Text("")]]
    logprobs = output.logprobs((choice.logprobs or {}).get("content") or ())
    items = []
    for index, group in enumerate(groups):
        status: Status = "completed" if complete or index < len(groups) - 1 else "incomplete"
        items.append(_item(group, answer, index, status, logprobs))
        if isinstance(group[0], Text):
            logprobs = []
    return items


def _groups(parts: Sequence[Part]) -> list[list[Part]]:
    said = [part for part in parts if _says_something(part)]
    return [group for spoken, run in groupby(said, _spoken) for group in ([list(run)] if spoken else _single(run))]


def _single(run: Iterator[Part]) -> list[list[Part]]:
    return [[part] for part in run]


def _spoken(part: Part) -> bool:
    return isinstance(part, Text | Refusal)


def _says_something(part: Part) -> bool:
    if isinstance(part, Text | Refusal):
        return bool(part.text)
    if isinstance(part, Thinking):
        return bool(part.text) or part.signature is not None
    return isinstance(part, Redacted | ToolCall)


def _item(group: list[Part], answer: str, index: int, status: Status, logprobs: list[Json]) -> Json:
    first = group[0]
    if isinstance(first, ToolCall):
        id = output.item_id("fc", answer, index)
        return output.call(id, status, first.id, first.name, first.arguments)
    if isinstance(first, Thinking | Redacted):
        said = first.text if isinstance(first, Thinking) else ""
        return output.reasoning(output.item_id("rs", answer, index), said, sealed(first))
    content = [_content(part, logprobs if part is first else []) for part in group]
    return output.message(output.item_id("msg", answer, index), status, content)


def _content(part: Part, logprobs: list[Json]) -> Json:
    if isinstance(part, Refusal):
        return output.refusal(part.text)
    assert isinstance(part, Text)
    annotations = [output.annotation(citation, len(part.text)) for citation in part.citations]
    return output.text(part.text, annotations, logprobs)
