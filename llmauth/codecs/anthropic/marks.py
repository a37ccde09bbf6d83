"""Signatures of calls and texts, which Messages has no place for: kept by the client as redacted thinking.

Gemini refuses a tool's result when the call comes back without the signature that it gave. Clients of this protocol
return every block of an answer as it was, so a block of redacted thinking carries it: before a call, behind a text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from llmauth.chat.messages import Part, Redacted, Signature, Text, ToolCall
from llmauth.chat.signatures import written

_CALL = "call."
_TEXT = "text."


def of_call(signature: Signature) -> dict[str, Any]:
    """The block to be put before the call that was signed."""
    return _mark(signature, _CALL)


def of_text(signature: Signature) -> dict[str, Any]:
    """The block to be put behind the text that was signed."""
    return _mark(signature, _TEXT)


def _mark(signature: Signature, kind: str) -> dict[str, Any]:
    marked = Signature(signature.origin, kind + signature.value)
    return {"type": "redacted_thinking", "data": written(marked, "anthropic")}


def attached(parts: Sequence[Part]) -> tuple[Part, ...]:
    """The parts with every mark put back to what it signs."""
    found: list[Part] = []
    pending: Signature | None = None
    for part in parts:
        call, text = _signed(part, _CALL), _signed(part, _TEXT)
        if call is not None:
            pending = call
        elif text is not None:
            _sign_text(found, text)
        elif pending is not None and isinstance(part, ToolCall):
            found.append(replace(part, signature=pending))
            pending = None
        else:
            found.append(part)
    return tuple(found)


def _signed(part: Part, kind: str) -> Signature | None:
    if not isinstance(part, Redacted) or part.data.origin == "anthropic" or not part.data.value.startswith(kind):
        return None
    return Signature(part.data.origin, part.data.value.removeprefix(kind))


def _sign_text(found: list[Part], signature: Signature) -> None:
    last = found[-1] if found else None
    if isinstance(last, Text) and last.signature is None:
        found[-1] = replace(last, signature=signature)
    else:
        found.append(Text("", signature=signature))
