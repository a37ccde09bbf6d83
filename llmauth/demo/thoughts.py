"""Signatures of what an emulated model thought: made here, and known again when they come back."""

from __future__ import annotations

import base64
import hmac
import json
import secrets
from typing import Any

# Of this process alone: what another emulator signed is as wrong as what nobody did.
_KEY = secrets.token_bytes(32)
_URL_SAFE = str.maketrans("-_", "+/")
_SIZE = 48  # bytes of a digest


def sign(thought: str, salt: bytes = b"") -> str:
    """A signature of a thought, in base64; `salt` makes it another one."""
    return base64.b64encode(salt + _digest(thought, salt)).decode("ascii")


def verifies(thought: str, signature: Any) -> bool:
    """Whether a signature is one of this thought."""
    try:
        raw = base64.b64decode(signature.translate(_URL_SAFE), validate=True)  # some clients write bytes in this way
    except (AttributeError, ValueError):
        return False
    salt, digest = raw[:-_SIZE], raw[-_SIZE:]
    return hmac.compare_digest(digest, _digest(thought, salt))


def of_call(name: str, arguments: Any) -> str:
    """What is signed of a function's call, which has no words: its name and its arguments, in any order."""
    return f"call {name} {json.dumps(arguments, sort_keys=True)}"


def _digest(thought: str, salt: bytes) -> bytes:
    return hmac.digest(_KEY, salt + b"\0" + thought.encode("utf-8", "surrogatepass"), "sha384")
