"""Every format and its tables, once: docs/PARAMETERS.md is written from them, and tests hold each to be complete."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from llmauth.chat.words import FEATURES, Word
from llmauth.codecs.anthropic import parsing as messages
from llmauth.codecs.anthropic.table import Host, table_of
from llmauth.codecs.claude_models import claude_traits
from llmauth.codecs.converse import table as converse
from llmauth.codecs.converse.families import Kind, family_of
from llmauth.codecs.gemini import codec as gemini
from llmauth.codecs.gemini.thinking import Family
from llmauth.codecs.mapping import Table
from llmauth.codecs.openai import parameters as chat
from llmauth.codecs.openai.table import COMPATIBLE, OPENAI, Dialect
from llmauth.codecs.oracle import cohere, cohere_v2, generic
from llmauth.codecs.responses import members as responses
from llmauth.codecs.responses.request import SPELLING as RESPONSES_SPELLING
from llmauth.codecs.watsonx.table import TABLE as WATSONX


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A protocol that clients speak: the members of its body with what each is here, and its own names of a word."""

    title: str
    members: Mapping[str, str]
    names: Callable[[Word], Iterable[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A format that providers speak. `tables` are by kinds of models, the usual kind first; `spoken` says by whom."""

    title: str
    short: str
    spoken: str
    tables: Mapping[str, Table]


def _of_chat(word: Word) -> Iterator[str]:
    """A feature is called by its everyday name, which is Chat Completions' where it has one."""
    yield from (name for name, (meant, _) in chat.PARAMETERS.items() if meant is word)
    if word in FEATURES:
        yield word.value


def _of_responses(word: Word) -> Iterator[str]:
    if word in RESPONSES_SPELLING:
        yield RESPONSES_SPELLING[word]
    yield from (name for name, purpose in responses.MEMBERS.items() if purpose == word.value)


def _of_messages(word: Word) -> Iterator[str]:
    if word in messages.SPELLING:
        yield messages.SPELLING[word]
    elif word.value in messages.MEMBERS:
        yield word.value


CLIENTS: tuple[Client, ...] = (
    Client(title="Chat Completions", members=chat.MEMBERS, names=_of_chat),
    Client(title="Responses", members=responses.MEMBERS, names=_of_responses),
    Client(title="Messages", members=messages.MEMBERS, names=_of_messages),
)


_CLAUDES: Mapping[str, str] = {
    "Claude 4.7 and later": "claude-opus-4-8",
    "Fable and Mythos from 5.1": "claude-fable-5-1",
    "Claude 4.5 and 4.6": "claude-sonnet-4-5",
    "Claude 3.7 to 4.1": "claude-opus-4-1",
    "Claude 3.5 and before": "claude-3-5-sonnet-20241022",
}


_NEWEST = next(iter(_CLAUDES.values()))


def _claude(model: str, host: Host = "direct") -> Table:
    return table_of(claude_traits(model), host)


def _on_bedrock(model: str) -> Table:
    return converse.table_for(family_of(f"anthropic.{model}"))


def _openai(dialect: Dialect) -> Mapping[str, Table]:
    ages = {"most models": "llama", "o1, gpt-5 and later": "gpt-5", "gpt-4 and before": "gpt-4o"}
    return {age: dialect.table_of(model) for age, model in ages.items()}


FORMATS: tuple[Format, ...] = (
    Format(
        title="OpenAI and Azure OpenAI",
        short="OpenAI",
        spoken="OpenAI's own two protocols pass as they are; this is what Messages are translated to.",
        tables=_openai(OPENAI),
    ),
    Format(
        title="Servers that speak OpenAI's API",
        short="compatible",
        spoken="Instances of type `openai_compatible`, and models of other publishers on Vertex AI. Chat Completions "
        "pass as they are; this is what Messages, and Responses where the server has none, are translated to.",
        tables=_openai(COMPATIBLE),
    ),
    Format(
        title="Claude at Anthropic and on Vertex AI",
        short="Anthropic",
        spoken="Messages pass as they are; this is what OpenAI's protocols are translated to.",
        tables={
            **{age: _claude(model) for age, model in _CLAUDES.items()},
            "Claude on Vertex AI": _claude(_NEWEST, "vertex"),
        },
    ),
    Format(
        title="Claude on Bedrock",
        short="Bedrock: Claude",
        spoken="By Converse. Messages pass as they are, to InvokeModel; this is what OpenAI's protocols become.",
        tables={age: _on_bedrock(model) for age, model in _CLAUDES.items()},
    ),
    Format(
        title="Other models on Bedrock",
        short="Bedrock: others",
        spoken="From every protocol, by Converse; but OpenAI's protocols pass as they are to OpenAI's models.",
        tables={
            "most models": converse.TABLES[Kind.OTHER.value],
            **{kind.value: converse.TABLES[kind.value] for kind in (Kind.NOVA, Kind.NOVA_2, Kind.GPT_OSS)},
        },
    ),
    Format(
        title="Gemini on Vertex AI",
        short="Gemini",
        spoken="From every protocol.",
        tables={
            "Gemini 3 and later": gemini.TABLES[Family.LEVEL.value],
            "Gemini 2.5 and before, and names without a number": gemini.TABLES[Family.BUDGET.value],
        },
    ),
    Format(title="IBM watsonx.ai", short="watsonx", spoken="From every protocol.", tables={"every model": WATSONX}),
    Format(
        title="Oracle, GENERIC: every model but Cohere's",
        short="Oracle",
        spoken="From every protocol.",
        tables={"most models": generic.table("meta.llama"), "OpenAI's models": generic.table("openai.gpt-oss-120b")},
    ),
    Format(
        title="Oracle, COHEREV2: command-a and later",
        short="Oracle: command-a",
        spoken="From every protocol.",
        tables={
            "most models": cohere_v2.table("cohere.command-a-03-2025"),
            "models with `reasoning` in their name": cohere_v2.table("cohere.command-a-reasoning"),
        },
    ),
    Format(
        title="Oracle, COHERE: command and command-r",
        short="Oracle: command-r",
        spoken="From every protocol.",
        tables={"every model": cohere.TABLE},
    ),
)
"""A further format is one entry here."""
