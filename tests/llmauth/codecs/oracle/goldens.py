"""Oracle's goldens in its three formats, and what the cases come to in each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from llmauth.chat.messages import ChatResponse, Part, Thinking, ToolCall, Usage
from llmauth.codecs.oracle.answers import call_id
from llmauth.codecs.oracle.codec import OracleProvider
from tests.golden.cases import cases

FOLDER = Path(__file__).parents[3] / "golden/oracle"
COMPARTMENT = "ocid1.compartment.oc1..golden"
CASES = cases("anthropic")


@dataclass(frozen=True)
class Golden:
    """One format: its folder, a model that speaks it, and the words of the cases that it refuses or cannot answer."""

    folder: str
    model: str
    refused: dict[str, str]
    unanswered: tuple[str, ...] = ("redacted thinking",)
    id: str = ""
    call: Callable[[int, ToolCall], ToolCall] = lambda _, call: call

    @property
    def provider(self) -> OracleProvider:
        return OracleProvider(self.model, COMPARTMENT)

    def text_of(self, case: str, kind: str) -> bytes:
        return (FOLDER / self.folder / f"{case.replace(' ', '_')}.{kind}").read_bytes()

    def has(self, case: str) -> bool:
        return case not in self.refused and case not in self.unanswered

    def expected(self, case: str, *, streamed: bool = False) -> ChatResponse:
        """What the codec makes of the golden answer: Oracle signs no thinking and writes nothing into a cache."""
        told = CASES[case].response
        choice = told.choices[0]
        usage = told.usage
        assert usage is not None
        if usage.cache_write:
            usage = Usage(input=usage.input, cache_read=usage.cache_read, output=usage.output)
        choices = (replace(choice, parts=self._parts(choice.parts)),)
        model = "" if streamed else self.model
        return replace(told, id=self.id, model=model, choices=choices, usage=usage)

    def _parts(self, parts: tuple[Part, ...]) -> tuple[Part, ...]:
        calls = [part for part in parts if isinstance(part, ToolCall)]
        told: list[Part] = []
        for part in parts:
            if isinstance(part, Thinking):
                told.append(Thinking(part.text))
            elif isinstance(part, ToolCall):
                told.append(self.call(calls.index(part), part))
            else:
                told.append(part)
        return tuple(told)


def _without_id(place: int, call: ToolCall) -> ToolCall:
    return replace(call, id=call_id(place, call.name, call.arguments))


GOLDENS = (
    Golden("generic", "xai.grok-4", {}),
    Golden(
        "cohere",
        "cohere.command-r-plus-08-2024",
        {
            "image": "image",
            "image by link": "image by URL",
            "document": "document",
            "parallel tools": "tool_choice required",
            "named tool": "tool_choice naming a tool",
        },
        ("redacted thinking", "thinking", "refusal"),
        call=_without_id,
    ),
    Golden(
        "cohere_v2",
        "cohere.command-a-reasoning-08-2025",
        {"document": "document"},
        ("redacted thinking", "refusal", "content filter"),
        "c14c80c3-18eb-4519-9460-6c92edd8cfb4",
    ),
)


def each(*, answered: bool = False) -> list[tuple[Golden, str]]:
    """Every format with every case that it can say, or answer too."""
    return [
        (golden, case)
        for golden in GOLDENS
        for case in CASES
        if case not in golden.refused and (not answered or golden.has(case))
    ]


def ids(value: object) -> str:
    """How a pair is called among the tests."""
    return value.folder if isinstance(value, Golden) else str(value)
