"""The neutral chat request and response: frozen parts, in the order in which they were said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal

from llmauth.chat.words import Word

Role = Literal["system", "developer", "user", "assistant", "tool"]
Origin = Literal["anthropic", "gemini", "openai", "bedrock"]


@dataclass(frozen=True, slots=True)
class Cache:
    """The prompt up to and with this part may be kept by the provider; `ttl` is `5m`, `1h` or the provider's own."""

    ttl: str | None = None


@dataclass(frozen=True, slots=True)
class Signature:
    """What a provider signed its own thinking with. It means something to that family of models and to no other."""

    origin: Origin
    value: str


@dataclass(frozen=True, slots=True)
class Data:
    """Content that came along: `base64` as it was written, never decoded here. `media_type` such as `image/png`."""

    media_type: str
    base64: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Link:
    """Content that lies elsewhere; we never fetch it. `media_type` where somebody told."""

    url: str
    media_type: str | None = None


@dataclass(frozen=True, slots=True)
class Citation:
    """Where a text took something from; `start` and `end` count characters of the text."""

    url: str
    title: str = ""
    start: int | None = None
    end: int | None = None


@dataclass(frozen=True, slots=True)
class Text:
    """Words. `signature` is Gemini's, which signs texts too."""

    text: str
    cache: Cache | None = None
    citations: tuple[Citation, ...] = ()
    signature: Signature | None = None


@dataclass(frozen=True, slots=True)
class Image:
    """A picture; `detail` is `low`, `high` or `auto` where the client asked for one."""

    source: Data | Link
    detail: str | None = None
    cache: Cache | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """A file to be read by the model: PDF as data or link, or plain text (media type `text/plain`, base64 too)."""

    source: Data | Link
    name: str | None = None
    cache: Cache | None = None


@dataclass(frozen=True, slots=True)
class Audio:
    """Speech to be heard by the model: media type `audio/wav` or `audio/mpeg`."""

    source: Data


@dataclass(frozen=True, slots=True)
class Thinking:
    """What a model thought before it answered, with the signature that its own family wants back."""

    text: str
    signature: Signature | None = None


@dataclass(frozen=True, slots=True)
class Redacted:
    """Thinking that only its provider can read."""

    data: Signature


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The model asks for a tool. `arguments` is JSON text as the model wrote it; empty means `{}`."""

    id: str
    name: str
    arguments: str
    signature: Signature | None = None
    cache: Cache | None = None


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool gave. `content` holds texts, images and documents."""

    call_id: str
    content: tuple[Text | Image | Document, ...]
    error: bool = False
    cache: Cache | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """The model's own words for not answering."""

    text: str


Part = Text | Image | Document | Audio | Thinking | Redacted | ToolCall | ToolResult | Refusal


@dataclass(frozen=True, slots=True)
class Message:
    """One turn.

    system, developer: texts. user: texts, images, documents, audio. assistant: thinking, texts, refusals, tool calls.
    tool: tool results and nothing else; results that follow each other are one message, so no two of role tool do.
    `name` tells apart several speakers of one role, where the client said it.
    """

    role: Role
    parts: tuple[Part, ...]
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may ask for. `schema` is the JSON Schema of its arguments, as the client wrote it."""

    name: str
    description: str = ""
    schema: Mapping[str, Any] = field(default_factory=dict)
    strict: bool | None = None
    cache: Cache | None = None


class Choose(Enum):
    """Whether the model may, must or must not ask for a tool."""

    AUTO = "auto"
    NONE = "none"
    REQUIRED = "required"


@dataclass(frozen=True, slots=True)
class Named:
    """The model must ask for this tool."""

    name: str


@dataclass(frozen=True, slots=True)
class JsonObject:
    """The answer is to be a JSON object."""


@dataclass(frozen=True, slots=True)
class JsonSchema:
    """The answer is to fit a schema; `schema` is a JSON Schema as the client wrote it."""

    schema: Mapping[str, Any]
    name: str = "answer"
    description: str = ""
    strict: bool | None = None


@dataclass(frozen=True, slots=True)
class Reasoning:
    """How much the model should think: an `effort`, a `budget` of tokens, or both; neither of them: as it likes.

    `effort` is one of none, minimal, low, medium, high, xhigh, max; "none" means not at all. `shown` asks for the
    thinking (or a summary of it) in the answer, False asks for it to be left out.
    """

    effort: str | None = None
    budget: int | None = None
    shown: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """What a client asks. `parameters` holds only what was said (see `Word` for the type of each value).

    `spelling` is how the client's protocol names a word where that differs from the word's own value: for refusals and
    for `x-llmauth-dropped`. `unknown` are members of the client's body that we have no word for: dropped and told.
    """

    model: str
    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: Choose | Named | None = None
    output: JsonObject | JsonSchema | None = None
    reasoning: Reasoning | None = None
    parameters: Mapping[Word, Any] = field(default_factory=dict)
    stream: bool = False
    include_usage: bool = True  # in a stream; OpenAI's clients have to ask for it
    spelling: Mapping[Word, str] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()

    def named(self, word: Word) -> str:
        """The client's own name for a word."""
        return self.spelling.get(word, word.value)


class Finish(Enum):
    """Why an answer ended. OpenAI's set is closed; the others' are mapped into this one and out of it."""

    STOP = "stop"
    STOP_SEQUENCE = "stop sequence"
    LENGTH = "length"
    CONTEXT_LENGTH = "context length"
    TOOL_CALLS = "tool calls"
    CONTENT_FILTER = "content filter"
    REFUSAL = "refusal"
    PAUSE = "pause"
    MALFORMED = "malformed"  # the provider says that its own output is broken: usable, and worth a warning


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens, none of them counted twice: the prompt is `input + cache_read + cache_write`.

    OpenAI and Gemini count cached tokens inside the prompt, Anthropic and Bedrock beside it. `output` holds everything
    that was generated, `reasoning` (a part of it) included.
    """

    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    output: int = 0
    reasoning: int = 0

    @property
    def prompt(self) -> int:
        """All tokens of the prompt."""
        return self.input + self.cache_read + self.cache_write

    @property
    def total(self) -> int:
        """Prompt and output."""
        return self.prompt + self.output


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One answer: thinking, texts, refusal and tool calls, as they came.

    `stop_sequence` is the one that was met, where told. `logprobs` is in OpenAI's form: `{"content": [...]}`.
    """

    parts: tuple[Part, ...]
    finish: Finish
    index: int = 0
    stop_sequence: str | None = None
    logprobs: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatResponse:
    """What a model answered. `id` is the provider's, empty where it gives none; `model` as the provider names it."""

    id: str
    model: str
    choices: tuple[Choice, ...]
    usage: Usage | None = None
    service_tier: str | None = None
