"""What an emulated model makes of one request, in whatever format: thoughts, then a text or the calls of tools."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from llmauth.demo import words
from llmauth.demo.emulator import Call

THOUGHT = 7  # tokens of a thought


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A tool that is offered."""

    name: str
    schema: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """The part of a request that decides what is said."""

    tools: Sequence[Tool] = ()
    must_call: bool = False
    may_call: bool = True
    named: str | None = None  # the one tool that must be called
    parallel: bool = True
    limit: int | None = None  # of tokens, thoughts among them
    thinks: bool = False
    schema: Any = None  # of the JSON that the text has to be


@dataclass(frozen=True, slots=True)
class Use:
    """The call of a tool."""

    name: str
    arguments: Any

    @property
    def written(self) -> str:
        """The arguments as JSON text."""
        return words.dumps(self.arguments).decode()

    @property
    def pieces(self) -> Iterator[str]:
        """The same as it is streamed."""
        return words.pieces(self.written)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """What the model says. `thought` and `tokens` join to their texts; where `uses` are, `tokens` are none."""

    thought: tuple[str, ...] = ()
    tokens: tuple[str, ...] = ()
    uses: tuple[Use, ...] = ()
    said: int
    cut: bool = False  # the limit ended it

    @property
    def text(self) -> str:
        """The text, whole."""
        return "".join(self.tokens)

    @property
    def thinking(self) -> str:
        """The thought, whole."""
        return "".join(self.thought)

    @property
    def count(self) -> int:
        """Tokens of output, the thoughts among them."""
        return self.said + len(self.thought)


def speak(call: Call, wish: Wish, speaker: str) -> Spoken:
    """Decide what is said: tools are called when the request forces it, or the behaviour asks for it."""
    thought = words.thoughts(THOUGHT) if wish.thinks else ()
    uses = tuple(_uses(call, wish))
    if uses:
        said = sum(max(1, len(use.written) // 4) for use in uses)
        return Spoken(thought=thought, uses=uses, said=said)
    limit = None if wish.limit is None else wish.limit - len(thought)
    if limit is not None and limit < 0:
        return Spoken(thought=thought[: wish.limit], said=0, cut=True)
    if wish.schema is None:
        count = call.tokens(limit)
        return Spoken(
            thought=thought,
            tokens=words.tokens(speaker, count),
            said=count,
            cut=limit is not None and count >= limit,
        )
    written = tuple(words.pieces(words.dumps(words.example(wish.schema)).decode()))
    kept = written if limit is None else written[:limit]
    return Spoken(thought=thought, tokens=kept, said=len(kept), cut=len(kept) < len(written))


def _uses(call: Call, wish: Wish) -> Iterator[Use]:
    tools = [tool for tool in wish.tools if wish.named in (None, tool.name)]
    wanted = wish.must_call or wish.named is not None or (wish.may_call and call.behaviour.call_tool)
    if not tools or not wanted:
        return
    for position in range(call.behaviour.calls if wish.parallel else 1):
        tool = tools[position % len(tools)]
        # Each call has arguments of its own, so that a result that answers another one is found out.
        word = "example" if position == 0 else f"example {position + 1}"
        yield Use(tool.name, words.example(tool.schema, word))
