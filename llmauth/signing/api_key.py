"""A key in a header of the provider's own, such as Anthropic's `x-api-key`."""

from __future__ import annotations

from llmauth.http import Request
from llmauth.secrets import Secret
from llmauth.signing import sendable, setting


def sign(request: Request, key: Secret, *, header: bytes) -> Request:
    """The request with this key as the only value of `header`."""
    return setting(request, (header, sendable(key)))
