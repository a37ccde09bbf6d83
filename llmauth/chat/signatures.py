"""Signatures of thinking, written where a client keeps them: whose they are must be told when they come back."""

from __future__ import annotations

from typing import get_args

from llmauth.chat.messages import Origin, Signature

_PREFIXES: dict[str, Origin] = {f"llmauth.{origin}.": origin for origin in get_args(Origin)}


def written(signature: Signature, own: Origin) -> str:
    """As it is where the client's protocol is of the same family, with its origin before it elsewhere."""
    return signature.value if signature.origin == own else f"llmauth.{signature.origin}.{signature.value}"


def read(text: str, own: Origin) -> Signature:
    """The signature that was written; one that names no origin is of the protocol's own family."""
    for prefix, origin in _PREFIXES.items():
        if text.startswith(prefix):
            return Signature(origin, text[len(prefix) :])
    return Signature(own, text)
