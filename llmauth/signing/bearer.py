"""`Authorization: Bearer`, for OpenAI, for Bedrock API keys, and for tokens of every kind."""

from __future__ import annotations

from llmauth.http import Request
from llmauth.secrets import Secret
from llmauth.signing import sendable, setting


def sign(request: Request, token: Secret) -> Request:
    """The request with this bearer token and no other `Authorization`."""
    return setting(request, (b"Authorization", b"Bearer " + sendable(token)))
