"""The wire formats in which answers tell their tokens: how each is read, and by which bytes it is found."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from llmauth.usage import readers
from llmauth.usage.readers import Reader

_USAGE = b'"usage"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One wire format. `members` are those that tell; of a stream, an event with none of them is never parsed.

    `opens` is the regular expression of what stands behind such a member where it does tell: OpenAI's streams may have
    `"usage":null` in every chunk. `lines` says that a single newline may stand between two events, `grows` that a whole
    answer is an array of answers, each of which tells more. `ends` is what may stand behind the object that holds such
    a member, at the very end of a body; `early` says that this end is enough, where a body is long. `framed` stands in
    every message of AWS's streams that may tell.
    """

    name: str
    read: Reader
    members: tuple[bytes, ...] = (_USAGE,)
    opens: bytes = rb"\{"
    lines: bool = False
    grows: bool = False
    early: bool = True
    ends: frozenset[str] = frozenset({""})
    sums: bool = False
    framed: bytes = _USAGE
    pattern: re.Pattern[bytes] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # An alternative for each, so that one alone is looked for as fast as plain bytes are.
        each = (re.escape(member) + rb"\s*:\s*" + self.opens for member in self.members)
        object.__setattr__(self, "pattern", re.compile(b"|".join(each)))


OPENAI = Format(name="openai", read=readers.openai)
MESSAGES = Format(name="messages", read=readers.messages)
# What the model itself told of its thinking stands before the answer's end.
CONVERSE = Format(name="converse", read=readers.converse, early=False)
INVOKE = Format(
    name="invoke",
    read=readers.invoke,
    members=(_USAGE, b'"inputTextTokenCount"'),
    opens=rb"[{0-9]",
    early=False,
    framed=b'"bytes"',  # the model's own event, in base64
)
GEMINI = Format(name="gemini", read=readers.gemini, members=(b'"usageMetadata"',))
GEMINI_ARRAY = Format(name="gemini array", read=readers.gemini, members=(b'"usageMetadata"',), grows=True)
# Older embeddings tell with each text what it took.
PREDICT = Format(name="predict", read=readers.gemini, sums=True)
WATSONX = Format(
    name="watsonx",
    read=readers.watsonx,
    members=(_USAGE, b'"input_token_count"', b'"generated_token_count"'),
    opens=rb"[{0-9]",
)
ORACLE = Format(name="oracle", read=readers.oracle, lines=True, ends=frozenset({"", "}"}))
