"""What a reasoning item hides in `encrypted_content`: signatures of any family, told apart when they come back."""

from __future__ import annotations

from llmauth.chat import signatures
from llmauth.chat.messages import Origin, Redacted, Thinking

_OWN: Origin = "openai"
# Anthropic wants a signature back under thinking that may be empty, and redacted thinking as a block of its own: an
# item without a summary could be either.
_REDACTED = "llmauth.redacted."


def sealed(part: Thinking | Redacted) -> str | None:
    """What stands in `encrypted_content`; `None` for thinking that nobody signed."""
    if isinstance(part, Thinking):
        return None if part.signature is None else signatures.written(part.signature, _OWN)
    written = signatures.written(part.data, _OWN)
    return written if part.data.origin == _OWN else f"{_REDACTED}{written}"


def unsealed(text: str, encrypted: str | None) -> Thinking | Redacted | None:
    """The thinking of an item; `None` where it says nothing. OpenAI's own without a summary is for OpenAI alone."""
    if not encrypted:
        return Thinking(text) if text else None
    if encrypted.startswith(_REDACTED):
        return Redacted(signatures.read(encrypted.removeprefix(_REDACTED), _OWN))
    signature = signatures.read(encrypted, _OWN)
    if not text and signature.origin == _OWN:
        return Redacted(signature)
    return Thinking(text, signature)
