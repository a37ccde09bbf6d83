"""What Gemini wants back of its own thoughts: the signature that came with the call of a function."""

from __future__ import annotations

import base64
import re
from typing import Any

from llmauth.demo import thoughts
from llmauth.demo.gemini_shapes import camelled
from llmauth.demo.shapes import Fault, Mismatch

TEXT = "text"  # what is signed of a text, which comes in parts that a client may join
# Google's own way out for a call that another model made; it stands there as it is, or as the bytes it is.
_UNSIGNED = "skip_thought_signature_validator"
_PLACEHOLDERS = frozenset({_UNSIGNED, base64.b64encode(_UNSIGNED.encode()).decode()})
_REQUIRED = re.compile(r"gemini-[3-9]")


def check_signatures(body: dict[str, Any], model: str) -> None:
    """Check those that are there, and from Gemini 3 on that the current turn has them; raises Mismatch."""
    contents = camelled(body)["contents"]
    for position, content in enumerate(contents):
        for index, part in enumerate(content["parts"]):
            if "thoughtSignature" in part and not _is_good(part):
                wanted = "Thought signature is not valid"
                raise Mismatch(Fault.WRONG, wanted, f"contents[{position}].parts[{index}].thought_signature")
    if _REQUIRED.match(model):
        _check_turn(contents)


def _is_good(part: dict[str, Any]) -> bool:
    signature = part["thoughtSignature"]
    if signature in _PLACEHOLDERS:
        return True
    called = part.get("functionCall")
    signed = TEXT if called is None else thoughts.of_call(called["name"], called.get("args") or {})
    return thoughts.verifies(signed, signature)


def _check_turn(contents: list[dict[str, Any]]) -> None:
    """The turn begins with what the user said last; of each step of the model, the first call is signed."""
    begun = max((index for index, content in enumerate(contents) if _is_users(content)), default=0)
    for position in range(begun, len(contents)):
        calls = [(i, part) for i, part in enumerate(contents[position]["parts"]) if "functionCall" in part]
        if calls and "thoughtSignature" not in calls[0][1]:
            raise Mismatch(
                Fault.WRONG,
                f"Function call `{calls[0][1]['functionCall']['name']}` is missing a `thought_signature`",
                f"contents[{position}].parts[{calls[0][0]}]",
            )


def _is_users(content: dict[str, Any]) -> bool:
    own = any("functionResponse" not in part for part in content["parts"])
    return content.get("role", "user") == "user" and own
