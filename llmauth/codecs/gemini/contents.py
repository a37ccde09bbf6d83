"""The turns of a chat as Gemini's `contents`: two roles in turn, each with its parts."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from itertools import count
from typing import Any

from llmauth.chat.messages import (
    Audio,
    Document,
    Image,
    Message,
    Part,
    Refusal,
    Signature,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from llmauth.chat.turns import folded, merged
from llmauth.codecs.gemini.media import media
from llmauth.codecs.gemini.results import Placed, answered, arguments

# What Google gives for calls that Gemini did not make itself ("Thought signatures" in Vertex AI's documentation), as
# the base64 that this member of type bytes is written in. Without it Gemini 3 answers 400: "function call … is missing
# a `thought_signature`". With it the model goes on without its earlier thoughts: a signature that came back is better.
UNSIGNED = base64.b64encode(b"skip_thought_signature_validator").decode("ascii")

Written = dict[str, Any]


def contents(messages: Sequence[Message], *, newest: bool, thoughts: bool) -> list[Written]:
    """The turns after the leading system messages; BadRequest for a result whose call is not among them.

    `newest` says that the model is a Gemini 3; `thoughts`, that it is told the signatures of its thinking.
    """
    calls: dict[str, Placed] = {}
    places = count()
    turns: list[Written] = []
    for message in merged(folded(messages)):
        if message.role == "assistant":
            parts = _of_model(message.parts, newest=newest, thoughts=thoughts)
            for call in (part for part in message.parts if isinstance(part, ToolCall)):
                calls[call.id] = next(places), call  # where an id comes again, the later call is meant
            _add(turns, "model", parts)
        else:
            results = [part for part in message.parts if isinstance(part, ToolResult)]
            parts = answered(results, calls, newest=newest) + list(_of_user(message.parts))
            _add(turns, "user", parts)
    return turns


def _add(turns: list[Written], role: str, parts: list[Written]) -> None:
    """A turn that says nothing is none, and those beside it are one."""
    if turns and turns[-1]["role"] == role:
        turns[-1]["parts"].extend(parts)
    elif parts:
        turns.append({"role": role, "parts": parts})


def texts(parts: Iterable[Text]) -> list[Written]:
    """Those that are not empty: Google refuses a part without content."""
    return [{"text": part.text} for part in parts if part.text]


def _of_user(parts: Sequence[Part]) -> Iterable[Written]:
    for part in parts:
        if isinstance(part, Image | Document | Audio):
            yield media(part)
        elif isinstance(part, Text) and part.text:
            yield {"text": part.text}


def _of_model(parts: Sequence[Part], *, newest: bool, thoughts: bool) -> list[Written]:
    carried = _carriers(parts) if thoughts else {}
    first = next((part for part in parts if isinstance(part, ToolCall)), None)
    written = []
    for place, part in enumerate(parts):
        signature = _own(getattr(part, "signature", None)) or carried.get(place)
        if isinstance(part, ToolCall):
            # "For parallel calls, only the first functionCall part has a signature."
            unsigned = UNSIGNED if newest and part is first else None
            written.append(_signed({"functionCall": _call(part, newest)}, signature or unsigned))
        elif isinstance(part, Text | Refusal) and (part.text or signature):
            written.append(_signed({"text": part.text}, signature))
        elif isinstance(part, Thinking) and place in carried:
            written.append(_signed({"text": ""}, signature))
    return written


def _carriers(parts: Sequence[Part]) -> dict[int, str]:
    """Which part takes back the signature of a thought, whose own text is not sent again, by its place.

    That is the first call after it, which Gemini 3 wants signed; else the next text. A client that keeps signatures
    with thoughts only has put a call's there.
    """
    first = next((place for place, part in enumerate(parts) if isinstance(part, ToolCall)), len(parts))
    takers = [place for place, part in enumerate(parts) if _takes(part) or place == first]
    takers = [place for place in takers if _own(getattr(parts[place], "signature", None)) is None]
    carried: dict[int, str] = {}
    for place, part in enumerate(parts):
        if isinstance(part, Thinking) and (value := _own(part.signature)):
            after = [taker for taker in takers if taker > place]
            carried[first if first in after else next(iter(after), place)] = value
    return carried


def _takes(part: Part) -> bool:
    return isinstance(part, Text) and part.text != ""


def _own(signature: Signature | None) -> str | None:
    return signature.value or None if signature is not None and signature.origin == "gemini" else None


def _call(call: ToolCall, newest: bool) -> Written:
    """Gemini 3 gives ids and looks for them; a model before it gives none, and may refuse them: "Unknown name "id" at
    'contents[1].parts[1].function_call': Cannot find field".
    """
    named: Written = {"name": call.name, "args": arguments(call)}
    return {"id": call.id, **named} if newest and call.id else named


def _signed(part: Written, signature: str | None) -> Written:
    return part if signature is None else {**part, "thoughtSignature": signature}
