"""The key that placeholder tokens are signed with: made once, kept private, the same for all who share the folder."""

from __future__ import annotations

from pathlib import Path

from llmauth.secrets import Secret
from llmauth.storage.private_key import PrivateKeyFile

FILE = "token.key"
_KEY = PrivateKeyFile(
    name=FILE,
    purpose="key of placeholder tokens",
    danger="who could make tokens of any caller",
    remedy="Remove it: the next start makes a new one, and SDKs ask for a token again.",
)


def load_or_create(folder: Path) -> Secret:
    """The key in the state folder, as hexadecimal digits; made where there is none.

    Of several processes that start at once one makes it and the others read it. Raises StateUnsafe when others can
    read it, StateUnusable when it is no key or cannot be had.
    """
    return _KEY.load_or_create(folder)
