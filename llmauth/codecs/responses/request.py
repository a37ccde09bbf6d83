"""A Responses request to the neutral one: its members by a table, what only OpenAI can do refused by name."""

from __future__ import annotations

from collections.abc import Mapping

from llmauth.chat.messages import ChatRequest, Message, Text
from llmauth.chat.words import Word
from llmauth.codecs import reading
from llmauth.codecs.reading import Malformed, Node, tellable
from llmauth.codecs.responses import items, options
from llmauth.codecs.responses.members import ENCRYPTED, LOGPROBS, Draft, read
from llmauth.errors import BadRequest

SPELLING: Mapping[Word, str] = {
    Word.MAX_TOKENS: "max_output_tokens",
    Word.LOGPROBS: "include",
    Word.VERBOSITY: "text.verbosity",
    Word.REASONING: "reasoning",
    Word.THINKING_BACK: "reasoning items",
    Word.JSON_OBJECT: "text.format json_object",
    Word.JSON_SCHEMA: "text.format json_schema",
    Word.IMAGE_DATA: "input_image",
    Word.IMAGE_URL: "input_image by URL",
    Word.DOCUMENT_DATA: "input_file",
    Word.DOCUMENT_URL: "file_url",
    Word.CACHE: "prompt_cache_breakpoint",
}


def parse(body: bytes) -> ChatRequest:
    """BadRequest, naming the member at fault, for what is not allowed; UnsupportedParameter for what we lack."""
    try:
        return _request(Node(reading.parse(body)))
    except Malformed as fault:
        raise BadRequest(
            f"The request is not one of the Responses API: {fault}.",
            hint="Correct this member.",
            code="invalid_request",
            param=fault.place or None,
        ) from None


def _request(body: Node) -> ChatRequest:
    draft = Draft()
    for name in body.object():
        member = body.get(name)
        if member is not None:
            read(member, draft)
    tool_choice, tools = options.chosen(body, options.tools(body))
    user = _who(body, draft)
    _what_depends(body, draft, bool(tools))
    return ChatRequest(
        model=_model(body),
        messages=(*_instructions(body), *items.turns(body.need("input"))),
        tools=tools,
        tool_choice=tool_choice,
        output=options.form(body),
        reasoning=options.reasoning(body, encrypted=ENCRYPTED in draft.included),
        parameters=draft.parameters,
        stream=_flag(body, "stream"),
        spelling={**SPELLING, Word.USER: user},
        unknown=tuple(dict.fromkeys(map(tellable, (*draft.unknown, *options.unknown(body))))),
    )


def _what_depends(body: Node, draft: Draft, tools: bool) -> None:
    """Parameters that more than one member decides."""
    verbosity = options.verbosity(body)
    if verbosity is not None:
        draft.parameters[Word.VERBOSITY] = verbosity
    if LOGPROBS in draft.included or Word.TOP_LOGPROBS in draft.parameters:
        draft.parameters[Word.LOGPROBS] = True
    if not tools:
        draft.parameters.pop(Word.PARALLEL_TOOL_CALLS, None)


def _who(body: Node, draft: Draft) -> str:
    """The name of the member that says who the end user is: "This field is being replaced by `safety_identifier`"."""
    said = [name for name in ("safety_identifier", "user") if body.text_of(name)]
    if said:
        draft.parameters[Word.USER] = body.text_of(said[0])
    draft.unknown.extend(said[1:])
    return said[0] if said else "safety_identifier"


def _model(body: Node) -> str:
    model = body.need("model")
    if not model.text():
        model.fail("must not be empty")
    return model.text()


def _instructions(body: Node) -> tuple[Message, ...]:
    text = body.text_of("instructions")
    return (Message("system", (Text(text),)),) if text else ()


def _flag(body: Node, name: str) -> bool:
    member = body.get(name)
    return member is not None and member.flag()
