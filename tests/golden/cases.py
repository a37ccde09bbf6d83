"""The golden cases in neutral form: what is asked, and what is answered."""

from __future__ import annotations

from dataclasses import dataclass, replace

from llmauth.chat.messages import (
    Cache,
    ChatRequest,
    ChatResponse,
    Choice,
    Choose,
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

MODEL = "golden-model"
# A PNG of one pixel, and the head of a PDF.
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PDF = "JVBERi0xLjQKJSVFT0YK"
WEATHER = Tool(
    "get_weather",
    "The weather of a city.",
    {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)
TIME = Tool("get_time", "The time in a city.", {"type": "object", "properties": {"city": {"type": "string"}}})
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True)
class Case:
    """One idea. A codec that cannot express the request refuses it, and its tests say so by name."""

    request: ChatRequest
    response: ChatResponse

    @property
    def streamed(self) -> ChatRequest:
        """The same, asked for as a stream."""
        return replace(self.request, stream=True)


def user(*parts: Part | str) -> Message:
    """A turn of the user's."""
    return Message("user", tuple(Text(part) if isinstance(part, str) else part for part in parts))


def assistant(*parts: Part | str) -> Message:
    """A turn of the model's."""
    return Message("assistant", tuple(Text(part) if isinstance(part, str) else part for part in parts))


def answered(*parts: Part | str, finish: Finish = Finish.STOP, usage: Usage | None = None) -> ChatResponse:
    """One choice; `id` and `model` are the codec's to set, since not every provider tells them."""
    told = tuple(Text(part) if isinstance(part, str) else part for part in parts)
    tokens = usage or Usage(input=12, output=5)
    return ChatResponse(id="", model="", choices=(Choice(parts=told, finish=finish),), usage=tokens)


def asked(*messages: Message, **more: object) -> ChatRequest:
    """A request of the golden model."""
    return ChatRequest(model=MODEL, messages=messages, **more)  # type: ignore[arg-type]


_CALL = ToolCall("call_1", "get_weather", '{"city":"Paris"}')
_SECOND = ToolCall("call_2", "get_time", '{"city":"Rome"}')


def cases(origin: Origin = "anthropic") -> dict[str, Case]:
    """All cases; `origin` is the family whose signatures the thinking carries."""
    signed = Thinking("Two and two.", Signature(origin, "c2lnbmF0dXJl"))
    return {
        "text": Case(asked(user("Say hello.")), answered("Hello there.")),
        "parameters": Case(
            asked(
                user("Count to ten."),
                parameters={
                    Word.MAX_TOKENS: 100,
                    Word.TEMPERATURE: 0.5,
                    Word.TOP_P: 0.25,
                    Word.STOP: ("END", "STOP"),
                },
            ),
            answered("1 2 3"),
        ),
        "system": Case(
            asked(
                Message("system", (Text("Be brief."),)),
                Message("developer", (Text("Answer in French."),)),
                user("Hello"),
                assistant("Bonjour."),
                user("How are you?"),
            ),
            answered("Bien."),
        ),
        "system later": Case(
            asked(user("Hello"), assistant("Hi."), Message("system", (Text("Now in French."),)), user("Again")),
            answered("Salut."),
        ),
        "image": Case(asked(user(Image(Data("image/png", PNG)), "What is it?")), answered("A dot.")),
        "image by link": Case(
            asked(user("What is it?", Image(Link("https://example.com/cat.png"), "low"))), answered("A cat.")
        ),
        "document": Case(
            asked(user(Document(Data("application/pdf", PDF), "report.pdf"), "Sum it up.")), answered("Nothing in it.")
        ),
        "one tool": Case(
            asked(user("Weather in Paris?"), tools=(WEATHER,), tool_choice=Choose.AUTO),
            answered("Let me look.", _CALL, finish=Finish.TOOL_CALLS),
        ),
        "parallel tools": Case(
            asked(user("Weather in Paris, time in Rome?"), tools=(WEATHER, TIME), tool_choice=Choose.REQUIRED),
            answered(_CALL, _SECOND, finish=Finish.TOOL_CALLS),
        ),
        "named tool": Case(
            asked(user("Weather?"), tools=(WEATHER, TIME), tool_choice=Named("get_weather")),
            answered(replace(_CALL, arguments="{}"), finish=Finish.TOOL_CALLS),
        ),
        "no tool": Case(asked(user("Weather?"), tools=(WEATHER,), tool_choice=Choose.NONE), answered("I cannot know.")),
        "one call at a time": Case(
            asked(user("Weather?"), tools=(WEATHER,), parameters={Word.PARALLEL_TOOL_CALLS: False}),
            answered(_CALL, finish=Finish.TOOL_CALLS),
        ),
        "tool results": Case(
            asked(
                user("Weather in Paris, time in Rome?"),
                assistant("Let me look.", _CALL, _SECOND),
                Message(
                    "tool",
                    (
                        ToolResult("call_1", (Text("18 degrees"),)),
                        ToolResult("call_2", (Text("no such city"),), error=True),
                    ),
                ),
                user("And?"),
                tools=(WEATHER, TIME),
            ),
            answered("18 degrees; the time I cannot tell."),
        ),
        "thinking": Case(
            asked(user("2+2?"), reasoning=Reasoning(effort="medium"), parameters={Word.MAX_TOKENS: 8000}),
            answered(signed, "Four.", usage=Usage(input=12, output=40, reasoning=30)),
        ),
        "thinking back": Case(
            asked(
                user("Weather in Paris?"),
                assistant(signed, _CALL),
                Message("tool", (ToolResult("call_1", (Text("18 degrees"),)),)),
                tools=(WEATHER,),
                reasoning=Reasoning(effort="medium"),
                parameters={Word.MAX_TOKENS: 8000},
            ),
            answered("18 degrees."),
        ),
        "redacted thinking": Case(
            asked(user("2+2?"), reasoning=Reasoning(effort="low"), parameters={Word.MAX_TOKENS: 8000}),
            answered(Redacted(Signature(origin, "cmVkYWN0ZWQ=")), "Four."),
        ),
        "cache": Case(
            asked(
                Message("system", (Text("A long instruction.", Cache()),)),
                user(Text("A long text.", Cache("1h")), "A question."),
                tools=(replace(WEATHER, cache=Cache()),),
            ),
            answered("Yes.", usage=Usage(input=10, cache_read=200, cache_write=50, output=5)),
        ),
        "json schema": Case(
            asked(user("Who?"), output=JsonSchema(PERSON, "person", strict=True)), answered('{"name":"Ada","age":36}')
        ),
        "json object": Case(asked(user("Who, as JSON?"), output=JsonObject()), answered('{"name":"Ada"}')),
        "length": Case(
            asked(user("Go on."), parameters={Word.MAX_TOKENS: 5}), answered("One two three", finish=Finish.LENGTH)
        ),
        "content filter": Case(asked(user("Something bad.")), answered("I", finish=Finish.CONTENT_FILTER)),
        "refusal": Case(
            asked(user("Something bad.")), answered(Refusal("I cannot help with that."), finish=Finish.REFUSAL)
        ),
    }
