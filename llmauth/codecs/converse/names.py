"""Names and ids that AWS allows, for those that a client chose: the same one for the same name, every time."""

from __future__ import annotations

import re
from collections.abc import Iterable
from hashlib import sha256

# The tool that gives an answer by a schema, where a model knows no other way: a name that no client chooses.
ANSWER = "llmauth_json_answer"

_TOOL = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_NOT_TOOL = re.compile(r"[^a-zA-Z0-9_-]")
_CALL = re.compile(r"[a-zA-Z0-9_.:-]{1,64}")
# "The name can only contain: alphanumeric characters; whitespace (no more than one in a row); hyphens; parentheses;
# square brackets." And 1 to 200 of them.
_NOT_DOCUMENT = re.compile(r"[^a-zA-Z0-9()\[\]-]+")
_LONGEST_DOCUMENT = 180  # and a number, where several have one name


def call_id(given: str) -> str:
    """The id of a tool call, in call and result alike."""
    return given if _CALL.fullmatch(given) else f"call_{_digest(given, 32)}"


def _digest(text: str, length: int) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:length]


class ToolNames:
    """Names of tools there and back: `server.tool` goes as `server_tool_` and a digest of it, and comes as it was."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._told = {self.sent(name): name for name in names}

    @staticmethod
    def sent(name: str) -> str:
        """As Bedrock is told."""
        return name if _TOOL.fullmatch(name) else f"{_NOT_TOOL.sub('_', name)[:55]}_{_digest(name, 8)}"

    def told(self, name: str) -> str:
        """As the client knows it."""
        return self._told.get(name, name)


class DocumentNames:
    """Names of documents: Bedrock wants one, in few characters, and no two alike in a request."""

    def __init__(self) -> None:
        self._used: set[str] = set()

    def take(self, name: str | None) -> str:
        """A name that is free, without the extension, since the format is told beside it."""
        stem = re.sub(r"\.[a-zA-Z0-9]{1,5}$", "", name or "")
        base = _NOT_DOCUMENT.sub(" ", stem).strip()[:_LONGEST_DOCUMENT].strip() or "document"
        free, number = base, 1
        while free in self._used:
            number += 1
            free = f"{base} {number}"
        self._used.add(free)
        return free
