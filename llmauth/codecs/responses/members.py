"""The members of a Responses request, one by one: how each is read, and what it is for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from llmauth.chat.words import Word
from llmauth.codecs.reading import Node
from llmauth.codecs.responses.contents import refused

LOGPROBS = "message.output_text.logprobs"
ENCRYPTED = "reasoning.encrypted_content"


@dataclass(slots=True)
class Draft:
    """What the members said so far."""

    parameters: dict[Word, Any] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    included: set[str] = field(default_factory=set)


Reader = Callable[[Node, Draft], None]


@dataclass(frozen=True, slots=True)
class Member:
    """What a member is for, in words, and its reader."""

    purpose: str
    read: Reader


def read(member: Node, draft: Draft) -> None:
    """Take one member down, or refuse it by name; what we do not know is dropped and told."""
    known = _MEMBERS.get(member.place)
    if known is None:
        draft.unknown.append(member.place)
    else:
        known.read(member, draft)


def _structure(purpose: str) -> Member:
    """A member that is more than a parameter: it is read elsewhere."""
    return Member(purpose, lambda member, draft: None)


def _said(word: Word, read: Callable[[Node], Any], unsaid: object = None) -> Member:
    """A member that is one parameter; `unsaid` is the value that changes nothing."""

    def reader(member: Node, draft: Draft) -> None:
        value = read(member)
        if value != unsaid:
            draft.parameters[word] = value

    return Member(word.value, reader)


def _checked(purpose: str, read: Callable[[Node], Any]) -> Member:
    """A member that only has to be of the right type here."""

    def reader(member: Node, draft: Draft) -> None:
        read(member)

    return Member(purpose, reader)


def _kept_elsewhere(member: Node, draft: Draft) -> None:
    refused(
        member,
        f"'{member.place}' leads to what only OpenAI keeps; this gateway keeps no conversations.",
        "Send the whole conversation as input.",
    )


def _background(member: Node, draft: Draft) -> None:
    if member.flag():
        refused(
            member,
            "'background' asks for an answer to be fetched later; this gateway keeps no answers.",
            "Leave it out, and stream the answer if it takes long.",
        )


def _moderation(member: Node, draft: Draft) -> None:
    refused(member, "'moderation' is done by OpenAI alone.", "Leave it out, and moderate in your own code.")


def _of_chat(instead: str) -> Member:
    """A member of Chat Completions: OpenAI too refuses it here, and to leave it out would change what is asked."""

    def reader(member: Node, draft: Draft) -> None:
        hint = f"Use '{instead}'." if instead else "Leave it out, or use Chat Completions."
        refused(member, f"'{member.place}' is a parameter of Chat Completions, not of Responses.", hint)

    return Member("refused", reader)


def _include(member: Node, draft: Draft) -> None:
    for value in member.items():
        draft.included.add(value.text())
        if value.text() not in (LOGPROBS, ENCRYPTED):
            draft.unknown.append(f"include.{value.text()}")


def _stream_options(member: Node, draft: Draft) -> None:
    """Obfuscation pads deltas with random text; we never do."""
    wanted = member.get("include_obfuscation")
    if wanted is not None:
        wanted.flag()
    draft.unknown.extend(f"{member.place}.{name}" for name in member.object() if name != "include_obfuscation")


def _metadata(member: Node) -> dict[str, str]:
    pairs = member.object()
    return {name: Node(value, f"metadata.{name[:64]}").text() for name, value in pairs.items()}


def _number(most: float) -> Callable[[Node], float]:
    return lambda member: member.number(0, most)


def _tier(member: Node) -> str:
    return member.one_of("auto", "default", "flex", "scale", "priority", "fast", "ultrafast")


# Every member that we know; null counts as absent.
_MEMBERS: Mapping[str, Member] = {
    "model": _structure("the model"),
    "input": _structure("the turns"),
    "instructions": _structure("the first system message"),
    "stream": _structure("a stream or a whole answer"),
    "tools": _structure(Word.TOOLS.value),
    "tool_choice": _structure("which tools"),
    "text": _structure("JSON answers, verbosity"),
    "reasoning": _structure(Word.REASONING.value),
    "include": Member("`message.output_text.logprobs`, `reasoning.encrypted_content`", _include),
    "stream_options": Member("nothing: deltas are never padded", _stream_options),
    "safety_identifier": _checked(Word.USER.value, Node.text),
    "user": _checked(Word.USER.value, Node.text),
    "max_output_tokens": _said(Word.MAX_TOKENS, lambda member: member.integer(1)),
    "temperature": _said(Word.TEMPERATURE, _number(2)),
    "top_p": _said(Word.TOP_P, _number(1)),
    "top_logprobs": _said(Word.TOP_LOGPROBS, lambda member: member.integer(0, 20), unsaid=0),
    "parallel_tool_calls": _said(Word.PARALLEL_TOOL_CALLS, Node.flag, unsaid=True),
    "metadata": _said(Word.METADATA, _metadata, unsaid={}),
    "service_tier": _said(Word.SERVICE_TIER, _tier, unsaid="auto"),
    "truncation": _said(Word.TRUNCATION, lambda member: member.one_of("auto", "disabled"), unsaid="disabled"),
    "prompt_cache_key": _said(Word.PROMPT_CACHE_KEY, Node.text, unsaid=""),
    "prompt_cache_retention": _said(Word.PROMPT_CACHE_RETENTION, lambda member: member.one_of("in_memory", "24h")),
    # "Defaults to true when omitted": nobody asked for it, and we store nothing; the answer says so.
    "store": _checked("nothing: no answer is kept", Node.flag),
    # It limits "calls to built-in tools", of which there are none.
    "max_tool_calls": _checked("nothing: it limits tools that OpenAI runs", lambda member: member.integer(1)),
    **dict.fromkeys(("previous_response_id", "conversation", "prompt"), Member("refused", _kept_elsewhere)),
    "background": Member("refused where true", _background),
    "moderation": Member("refused", _moderation),
    "messages": _of_chat("input"),
    "max_tokens": _of_chat("max_output_tokens"),
    "max_completion_tokens": _of_chat("max_output_tokens"),
    "response_format": _of_chat("text.format"),
    "reasoning_effort": _of_chat("reasoning.effort"),
    "stop": _of_chat(""),
    "n": _of_chat(""),
}

# What each is for, in words: documentation is written from it.
MEMBERS: Mapping[str, str] = {name: member.purpose for name, member in _MEMBERS.items()}
