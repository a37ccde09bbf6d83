"""A client's request in OpenAI's chat format, read into the neutral form."""

from __future__ import annotations

from typing import Any

from llmauth.chat.messages import ChatRequest, Reasoning
from llmauth.chat.words import Word
from llmauth.codecs.openai.parameters import EFFORTS, MEMBERS, parse_parameters
from llmauth.codecs.openai.tools import parse_output, parse_tools
from llmauth.codecs.openai.turns import parse_messages
from llmauth.codecs.reading import Malformed, Node, parse, tellable
from llmauth.errors import BadRequest


def parse_request(body: bytes) -> ChatRequest:
    """BadRequest naming the member at fault."""
    try:
        return _request(Node(parse(body)))
    except Malformed as fault:
        raise BadRequest(
            f"The request body is not what OpenAI's chat format says: {str(fault)[:300]}.",
            code="invalid_request",
            param=fault.place[:200] or None,
        ) from None


def _request(body: Node) -> ChatRequest:
    model = body.need("model")
    if not model.text():
        model.fail("is empty")
    messages = body.need("messages")
    if not list(messages.items()):
        messages.fail("is empty")
    parameters, spelling = parse_parameters(body)
    tools, choice = parse_tools(body)
    if tools and body.get("functions") is not None:
        # Their answers have room for one call.
        spelling |= {Word.TOOLS: "functions"}
        parameters[Word.PARALLEL_TOOL_CALLS] = False
    return ChatRequest(
        model=model.text(),
        messages=parse_messages(messages.items()),
        tools=tools,
        tool_choice=choice,
        output=parse_output(body),
        reasoning=_reasoning(body),
        parameters=parameters,
        spelling=spelling,
        unknown=_unknown(body.object()),
        **_stream(body),
    )


def _reasoning(body: Node) -> Reasoning | None:
    effort = body.get("reasoning_effort")
    return None if effort is None else Reasoning(effort=effort.one_of(*EFFORTS))


def _stream(body: Node) -> dict[str, Any]:
    stream, options = body.get("stream"), body.get("stream_options")
    asked = None if options is None else options.get("include_usage")
    return {
        "stream": stream is not None and stream.flag(),
        "include_usage": asked is not None and asked.flag(),
    }


def _unknown(body: dict[str, Any]) -> tuple[str, ...]:
    return tuple(tellable(name) for name, value in body.items() if name not in MEMBERS and value is not None)
