"""What OpenAI is asked to embed, and how long a vector is."""

from __future__ import annotations

from typing import Any

from llmauth.demo.openai_shapes import Unsupported
from llmauth.demo.shapes import Fault, Mismatch

_SIZES = {"text-embedding-3-large": 3072}
_USUAL = 1536
_FIXED = "text-embedding-ada-002"


def texts(given: Any) -> list[str]:
    """The texts, or lists of tokens as texts of their numbers; raises Mismatch for what is neither."""
    many = given if isinstance(given, list) else [given]
    if all(_is_token(one) for one in many):
        many = [many]
    if all(isinstance(one, str) and one for one in many):
        return many
    if all(isinstance(one, list) and one and all(map(_is_token, one)) for one in many):
        return [" ".join(map(str, one)) for one in many]
    raise Mismatch(Fault.WRONG, "expected texts that are not empty, or lists of tokens", "input")


def _is_token(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def size(body: dict[str, Any]) -> int:
    """How many numbers a vector has; raises Unsupported, or Mismatch for more than the model has."""
    most, asked = _SIZES.get(body["model"], _USUAL), body.get("dimensions")
    if asked is None:
        return most
    if body["model"] == _FIXED:
        raise Unsupported("dimensions", "This model does not support specifying dimensions.")
    if asked > most:
        raise Mismatch(Fault.WRONG, f"expected at most {most} for this model", "dimensions")
    return int(asked)
