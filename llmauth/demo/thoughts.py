"""Signatures of what an emulated model thought: made here, and known again when they come back."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from typing import Any

from llmauth.demo.words import dumps

# Of this process alone: what another emulator signed is as wrong as what nobody did.
_KEY = secrets.token_bytes(32)


def sign(thought: str) -> str:
    """The signature of a thought, in base64."""
    digest = hmac.digest(_KEY, thought.encode("utf-8", "surrogatepass"), hashlib.sha384)
    return base64.b64encode(digest).decode("ascii")


def verifies(thought: str, signature: Any) -> bool:
    """Whether a signature is the one of this thought."""
    return isinstance(signature, str) and hmac.compare_digest(sign(thought).encode(), signature.encode("utf-8"))


def of_call(name: str, arguments: Any) -> str:
    """What is signed of a function's call, which has no words: its name and its arguments, in any order."""
    members = sorted(arguments.items()) if isinstance(arguments, dict) else arguments
    return f"call {name} {dumps(members).decode()}"
