"""What a Gemini answer says, chunk by chunk: each is a whole response that holds what is new; a whole answer is one."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from llmauth.chat.events import (
    ArgumentsDelta,
    CallStarted,
    Cited,
    Event,
    Finished,
    LogprobsDelta,
    Started,
    TextDelta,
    TextSigned,
    ThinkingDelta,
    ThinkingSigned,
    UsageTold,
)
from llmauth.chat.messages import Citation, Finish, Signature, Usage
from llmauth.codecs.gemini import logprobs
from llmauth.codecs.gemini.partial import PartialCall
from llmauth.codecs.gemini.sources import Spoken, sources
from llmauth.codecs.reading import Malformed, Node

FINISHES = {
    "STOP": Finish.STOP,
    "MAX_TOKENS": Finish.LENGTH,
    **dict.fromkeys(
        (
            *("SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR"),
            *("IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION", "IMAGE_OTHER"),
        ),
        Finish.CONTENT_FILTER,
    ),
    "CONTINUATION": Finish.PAUSE,  # "the model" goes on when it is asked again
    **dict.fromkeys(
        (
            *("OTHER", "MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS"),
            *("MISSING_THOUGHT_SIGNATURE", "MALFORMED_RESPONSE", "NO_IMAGE", "ESCALATION", "PUP_LIMITED_DISABLED"),
        ),
        Finish.MALFORMED,
    ),
    "FINISH_REASON_UNSPECIFIED": Finish.STOP,
}
# Members of a candidate that says nothing but a piece of text.
_PLAIN = frozenset({"content", "index", "safetyRatings", "avgLogprobs"})
_COUNTS = (
    *("promptTokenCount", "cachedContentTokenCount", "toolUsePromptTokenCount"),
    *("candidatesTokenCount", "thoughtsTokenCount"),
)
_MAX_SAID = 4 * 1024 * 1024


class _Choice:
    """One candidate so far."""

    __slots__ = ("calls", "cited", "length", "partial", "reason", "said")

    def __init__(self) -> None:
        self.calls = 0
        self.reason: str | None = None
        self.partial: PartialCall | None = None
        self.cited: set[Citation] = set()
        # Kept for places of citations, which count the text from its beginning; no longer than any real answer.
        self.said = Spoken()
        self.length = 0

    def say(self, text: str) -> None:
        self.length += len(text)
        if self.length <= _MAX_SAID:
            self.said.say(text)

    @property
    def finish(self) -> Finish:
        """ "A function call ends with STOP", so that the parts tell."""
        finish = FINISHES.get(self.reason or "STOP", Finish.MALFORMED)
        return Finish.TOOL_CALLS if finish is Finish.STOP and self.calls else finish


class Chunks:
    """One answer while it comes. Methods raise Malformed for what is none."""

    def __init__(self) -> None:
        self._id: str | None = None
        self._usage: object = None
        self._choices: dict[int, _Choice] = {}
        self._blocked = False

    def take(self, value: Any) -> list[Event]:
        """The events of one chunk."""
        events: list[Event] = [] if self._id is not None else [self._start(Node(value))]
        plain = _plain(value)
        if plain is not None:
            self._choice(plain.choice).say(plain.text)
            events.append(plain)
        else:
            self._take_all(Node(value), events)
        usage = value.get("usageMetadata")
        if usage and usage != self._usage:
            self._usage = usage
            events.extend(_told(Node(usage, "usageMetadata")))
        return events

    def end(self, *, whole: bool) -> list[Event] | None:
        """How the choices ended; `None` where they did not. Of a whole answer it is taken that they did."""
        if not self._choices and self._blocked:
            return [Finished(Finish.CONTENT_FILTER)]
        if not self._choices or not (whole or all(choice.reason for choice in self._choices.values())):
            return None
        events: list[Event] = []
        for index, choice in sorted(self._choices.items()):
            events.extend(self._complete(index, choice))
            events.append(Finished(choice.finish, choice=index))
        return events

    def _start(self, response: Node) -> Started:
        self._id = response.text_of("responseId")
        return Started(self._id, response.text_of("modelVersion"))

    def _choice(self, index: int) -> _Choice:
        if index not in self._choices:
            self._choices[index] = _Choice()
        return self._choices[index]

    def _take_all(self, response: Node, events: list[Event]) -> None:
        feedback = response.get("promptFeedback")
        if feedback is not None and feedback.get("blockReason"):
            self._blocked = True
        for position, candidate in enumerate(response.list_of("candidates")):
            told = candidate.get("index")
            index = position if told is None else told.integer(0)
            self._take_candidate(candidate, index, events)

    def _take_candidate(self, candidate: Node, index: int, events: list[Event]) -> None:
        choice = self._choice(index)
        spoken = candidate.get("content")
        for part in spoken.list_of("parts") if spoken else ():
            self._take_part(part, index, choice, events)
        for source in sources(candidate, choice.said) if _has_sources(candidate) else ():
            if source not in choice.cited:
                choice.cited.add(source)
                events.append(Cited(source, index))
        if probabilities := candidate.get("logprobsResult"):
            events.append(LogprobsDelta(logprobs.content(probabilities), index))
        choice.reason = candidate.text_of("finishReason") or choice.reason

    def _take_part(self, part: Node, index: int, choice: _Choice, events: list[Event]) -> None:
        signature = part.text_of("thoughtSignature") or None
        if call := part.get("functionCall"):
            events.extend(self._call(call, index, choice, signature))
        elif part.object().get("thought") is True:
            _take_thought(part, index, signature, events)
        elif "text" in part.object() or part.object().keys() == {"thoughtSignature"}:
            if text := part.text_of("text"):
                choice.say(text)
                events.append(TextDelta(text, index))
            if signature:
                events.append(TextSigned(Signature("gemini", signature), index))

    def _call(self, call: Node, index: int, choice: _Choice, signature: str | None) -> list[Event]:
        name = call.text_of("name")
        events = self._complete(index, choice) if name else []
        if name:
            choice.partial = PartialCall(name, call.text_of("id"), signature)
            if arguments := call.get("args"):
                choice.partial.args = arguments.object()
        elif choice.partial is None:
            call.need("name").fail("is empty")
        partial = choice.partial
        assert partial is not None
        partial.signature = partial.signature or signature
        for piece in call.list_of("partialArgs"):
            partial.take(piece)
        more = call.get("willContinue")
        return events if more is not None and more.flag() else events + self._complete(index, choice)

    def _complete(self, index: int, choice: _Choice) -> list[Event]:
        """The call whose arguments came in pieces, now that nothing more of it comes."""
        partial, choice.partial = choice.partial, None
        if partial is None:
            return []
        arguments = _written(partial.args)
        number = choice.calls
        choice.calls += 1
        call_id = partial.id or _made_up(self._id or "", index, number, partial.name, arguments)
        signature = Signature("gemini", partial.signature) if partial.signature else None
        return [
            CallStarted(number, call_id, partial.name, signature, index),
            ArgumentsDelta(number, arguments, index),
        ]


def _plain(value: Any) -> TextDelta | None:
    """The one piece of text that most chunks are; `None` for all others, right or wrong."""
    try:
        (candidate,) = value["candidates"]
        (part,) = candidate["content"]["parts"]
        text = part["text"]
        index = candidate.get("index", 0)
        simple = len(part) == 1 and candidate.keys() <= _PLAIN and type(index) is int and index >= 0
        return TextDelta(text, index) if simple and type(text) is str and text else None
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _take_thought(part: Node, index: int, signature: str | None, events: list[Event]) -> None:
    if text := part.text_of("text"):
        events.append(ThinkingDelta(text, index))
    if signature:
        events.append(ThinkingSigned(Signature("gemini", signature), index))


def _has_sources(candidate: Node) -> bool:
    return "citationMetadata" in candidate.object() or "groundingMetadata" in candidate.object()


def _told(usage: Node) -> list[Event]:
    """Cached tokens are counted within the prompt there, those of tools' results and thoughts beside the others."""
    prompt, cached, tools, said, thoughts = _counts(usage)
    told = Usage(input=max(prompt - cached, 0) + tools, cache_read=cached, output=said + thoughts, reasoning=thoughts)
    return [UsageTold(told)] if told.total else []


def _counts(usage: Node) -> list[int]:
    members = usage.object()
    counts = [members.get(name, 0) for name in _COUNTS]
    if all(type(count) is int and count >= 0 for count in counts):
        return counts
    return [usage.count_of(name) for name in _COUNTS]


def _written(arguments: dict[str, Any]) -> str:
    try:
        text = json.dumps(arguments, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        text.encode()
    except UnicodeEncodeError:  # half a character, which only an escape can stand for
        return json.dumps(arguments, separators=(",", ":"), allow_nan=False)
    except (ValueError, RecursionError) as error:
        raise Malformed("functionCall.args", f"no JSON: {str(error)[:50]}") from None
    return text


def _made_up(answer: str, index: int, number: int, name: str, arguments: str) -> str:
    """An id for a call that came without one: the same each time this answer is read, another one in each answer."""
    told = json.dumps([answer, index, number, name, arguments])
    return f"call_{hashlib.sha256(told.encode('ascii')).hexdigest()[:24]}"
