"""Neutral requests, answers and streams for property tests: of everything that a codec with both halves can express."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from llmauth.chat.events import (
    ArgumentsDelta,
    CallStarted,
    Cited,
    Event,
    Finished,
    LogprobsDelta,
    RedactedThinking,
    RefusalDelta,
    Started,
    TextDelta,
    TextSigned,
    ThinkingDelta,
    ThinkingSigned,
    UsageTold,
)
from llmauth.chat.messages import (
    Audio,
    Cache,
    ChatRequest,
    ChatResponse,
    Choice,
    Choose,
    Citation,
    Data,
    Document,
    Finish,
    Image,
    JsonObject,
    JsonSchema,
    Link,
    Message,
    Named,
    Origin,
    Part,
    Reasoning,
    Redacted,
    Refusal,
    Signature,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    Usage,
)
from llmauth.chat.words import Word

# No half surrogates: formats that write UTF-8 have no bytes for them.
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
words = st.from_regex(r"[a-z][a-z0-9_]{0,11}", fullmatch=True)
numbers = st.integers(0, 100_000)
base64s = st.binary(min_size=1, max_size=12).map(lambda octets: base64.b64encode(octets).decode())
objects = st.dictionaries(words, st.none() | st.booleans() | st.integers(-9, 9) | texts, max_size=3)

VALUES: Mapping[Word, SearchStrategy[Any]] = {
    Word.MAX_TOKENS: st.integers(1, 100_000),
    Word.TEMPERATURE: st.sampled_from([0, 0.25, 0.5, 1]),
    Word.TOP_P: st.sampled_from([0.1, 0.5, 0.95]),
    Word.TOP_K: st.integers(1, 500),
    Word.STOP: st.lists(texts.filter(str.strip), min_size=1, max_size=4).map(tuple),
    Word.SEED: st.integers(-(2**31), 2**31),
    Word.N: st.integers(2, 4),
    Word.PRESENCE_PENALTY: st.sampled_from([-2, -0.5, 0.5, 2]),
    Word.FREQUENCY_PENALTY: st.sampled_from([-2, -0.5, 0.5, 2]),
    Word.LOGIT_BIAS: st.dictionaries(st.integers(0, 999).map(str), st.integers(-100, 100), min_size=1, max_size=3),
    Word.LOGPROBS: st.just(True),
    Word.TOP_LOGPROBS: st.integers(1, 20),
    Word.USER: words,
    Word.METADATA: st.dictionaries(words, texts, min_size=1, max_size=3),
    Word.SERVICE_TIER: st.sampled_from(["default", "flex", "priority"]),
    Word.VERBOSITY: st.sampled_from(["low", "medium", "high"]),
    Word.PARALLEL_TOOL_CALLS: st.just(False),
    Word.PREDICTION: texts.map(lambda text: {"type": "content", "content": text}),
    Word.WEB_SEARCH: st.just({"search_context_size": "low"}),
    Word.STORE: st.just(True),
    Word.PROMPT_CACHE_KEY: words,
    Word.PROMPT_CACHE_RETENTION: st.sampled_from(["in_memory", "24h"]),
    Word.TRUNCATION: st.just("auto"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What a format can express; the defaults are what nearly all can.

    `parameters` are the words that are sent, `origin` whose signatures thinking carries (None: it is never signed),
    `call_origin` and `text_origin` the same of calls and texts. `finishes` are those that come back as they were.
    """

    parameters: frozenset[Word] = frozenset({Word.MAX_TOKENS, Word.TEMPERATURE, Word.STOP})
    origin: Origin | None = None
    call_origin: Origin | None = None
    text_origin: Origin | None = None
    thinking: bool = False
    redacted: bool = False
    developer: bool = False
    system_later: bool = False
    speakers: bool = False  # `name` of a message
    caches: bool = False
    images: bool = True
    links: bool = False
    details: bool = False
    documents: bool = False
    audio: bool = False
    refusals: bool = False
    tool_errors: bool = False
    result_images: bool = False
    strict: bool = False
    outputs: bool = False
    efforts: tuple[str, ...] = ()
    citations: bool = False
    logprobs: bool = False
    choices: int = 1
    tiers: bool = False
    usage_of_caches: bool = True
    finishes: tuple[Finish, ...] = (Finish.STOP, Finish.LENGTH)


@st.composite
def chat_requests(draw: DrawFn, scope: Scope) -> ChatRequest:
    """A conversation that ends in a turn of the user's or in results of tools."""
    tools = draw(_tools(scope))
    return ChatRequest(
        model=draw(words),
        messages=draw(_conversations(scope)),
        tools=tools,
        tool_choice=draw(_choices_among(tools)),
        output=draw(_outputs(scope)),
        reasoning=draw(st.none() | st.sampled_from(scope.efforts).map(Reasoning)) if scope.efforts else None,
        parameters=draw(_parameters(scope, bool(tools))),
    )


@st.composite
def chat_responses(draw: DrawFn, scope: Scope) -> ChatResponse:
    """An answer of one or more choices, each with its parts in the order thinking, text, refusal, calls."""
    count = draw(st.integers(1, scope.choices))
    return ChatResponse(
        id=draw(words),
        model=draw(words),
        choices=tuple(draw(_choice(scope, index)) for index in range(count)),
        usage=draw(_usages(scope)),
        service_tier=draw(st.none() | st.sampled_from(["default", "flex"])) if scope.tiers else None,
    )


@st.composite
def streams(draw: DrawFn, scope: Scope) -> list[Event]:
    """The events of an answer, its texts and arguments cut anywhere, its choices in any order of turns."""
    response = draw(chat_responses(scope))
    lines = [draw(_events_of(choice)) for choice in response.choices]
    turns = draw(st.permutations([number for number, line in enumerate(lines) for _ in line]))
    queues = [iter(line) for line in lines]
    told = [] if response.usage is None else [UsageTold(response.usage)]
    return [Started(response.id, response.model), *(next(queues[number]) for number in turns), *told]


@st.composite
def _events_of(draw: DrawFn, choice: Choice) -> list[Event]:
    events: list[Event] = []
    calls = 0
    for part in choice.parts:
        if isinstance(part, ToolCall):
            events.append(CallStarted(calls, part.id, part.name, part.signature, choice.index))
            events += [ArgumentsDelta(calls, piece, choice.index) for piece in draw(_pieces(part.arguments))]
            calls += 1
        else:
            events += draw(_events_of_part(part, choice.index))
    if choice.logprobs is not None:
        events.append(LogprobsDelta(tuple(choice.logprobs["content"]), choice.index))
    return [*events, Finished(choice.finish, choice.stop_sequence, choice.index)]


@st.composite
def _events_of_part(draw: DrawFn, part: Part, index: int) -> list[Event]:
    if isinstance(part, Redacted):
        return [RedactedThinking(part.data, index)]
    if isinstance(part, Refusal):
        return [RefusalDelta(piece, index) for piece in draw(_pieces(part.text))]
    if isinstance(part, Thinking):
        signed: list[Event] = [] if part.signature is None else [ThinkingSigned(part.signature, index)]
        return [*(ThinkingDelta(piece, index) for piece in draw(_pieces(part.text))), *signed]
    assert isinstance(part, Text)
    marks: list[Event] = [Cited(citation, index) for citation in part.citations]
    if part.signature is not None:
        marks.append(TextSigned(part.signature, index))
    return [*(TextDelta(piece, index) for piece in draw(_pieces(part.text))), *marks]


@st.composite
def _pieces(draw: DrawFn, text: str) -> list[str]:
    cuts = sorted(draw(st.sets(st.integers(1, len(text) - 1), max_size=3))) if len(text) > 1 else []
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    return [piece for piece in pieces if piece]


def _caches(scope: Scope) -> SearchStrategy[Cache | None]:
    return st.sampled_from([None, None, Cache(), Cache("5m"), Cache("1h")]) if scope.caches else st.none()


def _signatures(origin: Origin | None) -> SearchStrategy[Signature | None]:
    return st.none() if origin is None else st.none() | base64s.map(lambda value: Signature(origin, value))


def _said(scope: Scope) -> SearchStrategy[Text]:
    return st.builds(Text, texts, cache=_caches(scope))


def _images(scope: Scope) -> SearchStrategy[Image]:
    sources: SearchStrategy[Data | Link] = st.builds(Data, st.sampled_from(["image/png", "image/jpeg"]), base64s)
    if scope.links:
        sources |= words.map(lambda name: Link(f"https://example.com/{name}.png"))
    details = st.sampled_from([None, "low", "high", "auto"]) if scope.details else st.none()
    return st.builds(Image, sources, details, _caches(scope))


def _user_parts(scope: Scope) -> SearchStrategy[Part]:
    kinds: list[SearchStrategy[Part]] = [_said(scope)]
    if scope.images:
        kinds.append(_images(scope))
    if scope.documents:
        names = words.map(lambda name: f"{name}.pdf")
        kinds.append(st.builds(Document, st.builds(Data, st.just("application/pdf"), base64s), names, _caches(scope)))
    if scope.audio:
        kinds.append(st.builds(Audio, st.builds(Data, st.sampled_from(["audio/wav", "audio/mpeg"]), base64s)))
    return st.one_of(kinds)


def _thoughts(scope: Scope) -> SearchStrategy[list[Part]]:
    """One without a signature, or several that are signed or redacted: what lies between tells them apart."""
    if not scope.thinking:
        return st.just([])
    kinds: list[SearchStrategy[list[Part]]] = [st.just([]), texts.map(lambda text: [Thinking(text)])]
    if scope.origin is not None:
        signatures = st.builds(Signature, st.just(scope.origin), base64s)
        signed: SearchStrategy[Part] = st.builds(Thinking, texts, signatures)
        if scope.redacted:
            signed |= st.builds(Redacted, signatures)
        kinds.append(st.lists(signed, min_size=1, max_size=2))
    return st.one_of(kinds)


@st.composite
def _calls(draw: DrawFn, scope: Scope, seed: str, *, caches: bool) -> list[Part]:
    return [
        ToolCall(
            f"call_{seed}_{number}",
            draw(words),
            draw(st.sampled_from(["{}", '{"city":"Paris"}', '{"a":[1,{"b":null}]}', '{"ü":"\\ud83d"}'])),
            draw(_signatures(scope.call_origin)),
            draw(_caches(scope)) if caches else None,
        )
        for number in range(draw(st.integers(0, 3)))
    ]


@st.composite
def _conversations(draw: DrawFn, scope: Scope) -> tuple[Message, ...]:
    messages: list[Message] = draw(st.lists(_instructions(scope), max_size=2))
    for turn in range(draw(st.integers(0, 2))):
        messages.append(draw(_of_user(scope)))
        said = draw(_of_assistant(scope, str(turn)))
        messages.append(said)
        calls = [part for part in said.parts if isinstance(part, ToolCall)]
        if calls:
            messages.append(Message("tool", tuple(draw(_result(scope, call.id)) for call in calls)))
        if scope.system_later:
            messages += draw(st.lists(_instructions(scope), max_size=1))
    return (*messages, draw(_of_user(scope)))


def _named(scope: Scope) -> SearchStrategy[str | None]:
    return st.none() | words if scope.speakers else st.none()


def _instructions(scope: Scope) -> SearchStrategy[Message]:
    roles = st.sampled_from(["system", "developer"]) if scope.developer else st.just("system")
    return st.builds(Message, roles, st.lists(_said(scope), min_size=1, max_size=2).map(tuple), _named(scope))


def _of_user(scope: Scope) -> SearchStrategy[Message]:
    parts = st.lists(_user_parts(scope), min_size=1, max_size=3).map(tuple)
    return st.builds(Message, st.just("user"), parts, _named(scope))


@st.composite
def _of_assistant(draw: DrawFn, scope: Scope, seed: str) -> Message:
    said: list[Part] = draw(st.lists(_said(scope), max_size=2))
    if scope.refusals:
        said += draw(st.lists(st.builds(Refusal, texts), max_size=1))
    calls = draw(_calls(scope, seed, caches=True))
    if not said and not calls:
        said = [Text("Yes.")]
    return Message("assistant", (*draw(_thoughts(scope)), *said, *calls), draw(_named(scope)))


@st.composite
def _result(draw: DrawFn, scope: Scope, identity: str) -> ToolResult:
    content: list[Any] = draw(st.lists(_said(scope), min_size=1, max_size=2))
    if scope.result_images:
        content += draw(st.lists(_images(replace(scope, caches=False)), max_size=1))
    failed = scope.tool_errors and draw(st.booleans())
    return ToolResult(identity, tuple(content), failed, draw(_caches(scope)))


def _tools(scope: Scope) -> SearchStrategy[tuple[Tool, ...]]:
    schemas = objects.map(lambda more: {"type": "object", "properties": {"city": {"type": "string"}}, "x-more": more})
    strict = st.sampled_from([None, True, False]) if scope.strict else st.none()
    tools = st.builds(Tool, words, texts | st.just(""), schemas, strict, _caches(scope))
    return st.lists(tools, max_size=3, unique_by=lambda tool: tool.name).map(tuple)


def _choices_among(tools: Sequence[Tool]) -> SearchStrategy[Choose | Named | None]:
    if not tools:
        return st.none()
    return st.none() | st.sampled_from(Choose) | st.sampled_from(tools).map(lambda tool: Named(tool.name))


def _outputs(scope: Scope) -> SearchStrategy[JsonObject | JsonSchema | None]:
    if not scope.outputs:
        return st.none()
    strict = st.sampled_from([None, True, False]) if scope.strict else st.none()
    schemas = st.builds(JsonSchema, objects.filter(bool), words, texts | st.just(""), strict)
    return st.none() | st.just(JsonObject()) | schemas


@st.composite
def _parameters(draw: DrawFn, scope: Scope, tools: bool) -> dict[Word, Any]:
    allowed = [word for word in VALUES if word in scope.parameters and (tools or word is not Word.PARALLEL_TOOL_CALLS)]
    chosen = draw(st.sets(st.sampled_from(allowed))) if allowed else set()
    if Word.TOP_LOGPROBS in chosen:
        chosen.add(Word.LOGPROBS)
    return {word: draw(VALUES[word]) for word in Word if word in chosen}


def _usages(scope: Scope) -> SearchStrategy[Usage | None]:
    cached = numbers if scope.usage_of_caches else st.just(0)
    return st.none() | st.builds(
        lambda given, read, written, thought, said: Usage(
            input=given, cache_read=read, cache_write=written, output=thought + said, reasoning=thought
        ),
        numbers,
        cached,
        cached,
        numbers,
        numbers,
    )


@st.composite
def _choice(draw: DrawFn, scope: Scope, index: int) -> Choice:
    text = draw(st.lists(_answers(scope), max_size=1))
    refusal: list[Part] = draw(st.lists(st.builds(Refusal, texts), max_size=1)) if scope.refusals else []
    calls = draw(_calls(scope, str(index), caches=False))
    own = [Finish.REFUSAL] if refusal else [Finish.TOOL_CALLS] if calls else list(scope.finishes)
    tokens = draw(st.lists(_tokens(), min_size=1, max_size=2)) if scope.logprobs and draw(st.booleans()) else None
    return Choice(
        parts=(*draw(_thoughts(scope)), *text, *refusal, *calls),
        finish=draw(st.sampled_from(own)),
        index=index,
        logprobs=None if tokens is None else {"content": tokens},
    )


@st.composite
def _answers(draw: DrawFn, scope: Scope) -> Text:
    text = draw(texts)
    places = st.integers(0, len(text))
    citations = st.builds(Citation, words.map(lambda name: f"https://example.com/{name}"), texts, places, places)
    told = tuple(draw(st.lists(citations, max_size=2))) if scope.citations else ()
    return Text(text, citations=told, signature=draw(_signatures(scope.text_origin)))


def _tokens() -> SearchStrategy[dict[str, Any]]:
    octets = st.none() | st.lists(st.integers(0, 255), max_size=3)
    logprobs = st.floats(-100, 0, allow_nan=False)
    token = st.fixed_dictionaries({"token": texts, "logprob": logprobs, "bytes": octets})
    return st.builds(lambda told, top: {**told, "top_logprobs": top}, token, st.lists(token, max_size=2))
