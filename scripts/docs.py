"""Writes docs/PARAMETERS.md and docs/METRICS.md from the code; with `--check` only says whether they are fresh."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import docs_metrics

from llmauth.chat.words import Word
from llmauth.codecs.mapping import Dropped, Ignored, Refused, Rule, Sent, Table
from llmauth.codecs.tables import CLIENTS, FORMATS, Client, Format

ROOT = Path(__file__).resolve().parents[1]
DOCS = Path("docs")

INTRODUCTION = """\
# Parameters

What becomes of a request in [protocol mode](PROTOCOL-MODE.md), where a chat is translated. Where a provider speaks the
client's own protocol nothing is: its API takes what it always takes. `scripts/docs` writes this page from the tables
that the code reads.

Whoever calls a Claude on Bedrock with OpenAI's SDK finds what works in its column of the first table and, with the
place of each word, under [Claude on Bedrock](#claude-on-bedrock). Words have the names of Chat Completions;
[other names](#other-names) has those of the other protocols. A word is

* **sent**, in the provider's own words;
* **left out**, where the answer means the same without it: the header `x-llmauth-dropped` names it, and `strict: true`
  on the instance makes it a refusal;
* **refused** with a 400 that names it, where the answer would mean something else;
* **done unasked**, where the provider does it anyway.

Values that change nothing (`n` of 1, `logprobs` of false, null) are as good as unsaid everywhere. A member that this
page does not name is left out, and told. Content that it does not name (a role, a type of part or of tool) is refused.
"""

GLANCE = """\
## At a glance

✓ is sent or done unasked, – is left out, 400 is refused; * depends on the model.
"""

OF_PROVIDERS = """\
## What providers are told

A place is written with dots between the levels of the provider's body.
"""

OF_CLIENTS = """\
## What clients say

The members of a body, and what each is here.
"""

OTHER_NAMES = """\
### Other names

Where a cell is empty, the name is the same or the protocol has no such thing.
"""

OF_EMBEDDINGS = """\
## Embeddings

OpenAI's `embeddings` pass to OpenAI, Azure and what is like them. Of Bedrock, Vertex AI, watsonx and Oracle they are
asked in those providers' words.

| member | becomes |
|---|---|
| `model` | the model |
| `input` | a text, or up to 2048 texts, in as many calls as the provider needs; tokens in their place are refused |
| `dimensions` | sent where the model has them to choose, and refused for others |
| `encoding_format` | done here: every provider is asked for numbers |
| `input_type` | not OpenAI's, and sent to models that know it: `search_document`, `search_query` and others |
| `user` | left out |
"""


def page() -> str:
    """The whole page."""
    parts = [INTRODUCTION, GLANCE, lined(glance()), OF_PROVIDERS, *map(of_format, FORMATS)]
    return "\n".join([*parts, OF_CLIENTS, *map(of_client, CLIENTS), OTHER_NAMES, lined(other_names()), OF_EMBEDDINGS])


# At a glance


def glance() -> Iterator[str]:
    """A line for each word, a narrow column for each format."""
    yield from head("", *(f"[{one.short}](#{anchor(one.title)})" for one in FORMATS))
    for word in Word:
        yield row(shown(word.value), *(mark(one, word) for one in FORMATS))


def mark(format_: Format, word: Word) -> str:
    """One sign, that of the usual kind of model."""
    marks = [_MARKS[type(table[word])] for table in format_.tables.values()]
    return marks[0] if len(set(marks)) == 1 else f"{marks[0]} *"


_MARKS: Mapping[type[Rule], str] = {Sent: "✓", Ignored: "✓", Dropped: "–", Refused: "400"}


# A provider's format


def of_format(format_: Format) -> str:
    """Where each word goes with the usual kind of model, and what differs with others."""
    (name, usual), *others = format_.tables.items()
    whose = f" The table is that of {name}." if others else ""
    lines = [f"### {format_.title}", "", f"{format_.spoken}{whose}", "", *sent(usual), "", *unsent(usual)]
    lines += [f"* **{other}**: {different(usual, theirs)}." for other, theirs in others]
    return f"{lined(lines).rstrip()}\n"


def sent(table: Table) -> Iterator[str]:
    """The words that are sent, each with its place."""
    yield from head("what is said", "is told as", "")
    for word, rule in by_word(table):
        if isinstance(rule, Sent):
            yield row(shown(word.value), places(rule), rule.note)


def unsent(table: Table) -> Iterator[str]:
    """The rest, in a paragraph for each fate."""
    for kind, title in ((Dropped, "Left out"), (Refused, "Refused"), (Ignored, "Done unasked")):
        found = [(word, rule) for word, rule in by_word(table) if isinstance(rule, kind)]
        if found:
            reasons = (f"{listed(words)}{in_brackets(rule.note)}" for rule, words in by_rule(found))
            yield from (f"**{title}:** {'; '.join(reasons)}.", "")


def different(usual: Table, theirs: Table) -> str:
    """What another kind of models is told differently."""
    found = [(word, rule) for word, rule in by_word(theirs) if rule != usual[word]]
    fates = (f"{listed(words)}: {_fate(rule)}{in_brackets(rule.note)}" for rule, words in by_rule(found))
    return "; ".join(fates) or "nothing else"


def _fate(rule: Rule) -> str:
    if isinstance(rule, Sent):
        return f"told as {places(rule)}"
    return {Dropped: "left out", Refused: "refused", Ignored: "done unasked"}[type(rule)]


def by_word(table: Table) -> Iterator[tuple[Word, Rule]]:
    """In the order of the vocabulary."""
    return ((word, table[word]) for word in Word)


def by_rule(found: Iterable[tuple[Word, Rule]]) -> Iterable[tuple[Rule, list[Word]]]:
    """Words that share a rule stand together."""
    grouped: dict[Rule, list[Word]] = {}
    for word, rule in found:
        grouped.setdefault(rule, []).append(word)
    return grouped.items()


def places(rule: Sent) -> str:
    """The places in the provider's body."""
    return ", ".join(f"`{place}`" for place in rule.place.split(", "))


# A client's protocol


def of_client(client: Client) -> str:
    """The members; those that are what their name says, in one sentence."""
    meanings: dict[str, list[str]] = {}
    for name, meaning in client.members.items():
        meanings.setdefault(meaning.removeprefix("parameter "), []).append(name)
    plain = [name for name, names in meanings.items() if names == [name]]
    rows = [row(codes(names), shown(meaning)) for meaning, names in meanings.items() if meaning not in plain]
    told = lined((*head("member", "is here"), *rows))
    return f"### {client.title}\n\n{told}\nWhat their names say: {codes(plain)}.\n"


def other_names() -> Iterator[str]:
    """What the protocols call a word, where one of them calls it by another name."""
    yield from head("here", *(client.title for client in CLIENTS))
    for word in Word:
        names = [tuple(dict.fromkeys(client.names(word))) for client in CLIENTS]
        if {name for each in names for name in each} != {word.value}:
            yield row(shown(word.value), *(", ".join(map(shown, each)) for each in names))


# Markdown


_MEMBERS = {name for client in CLIENTS for name in client.members}


def shown(name: str) -> str:
    """A member as code, words as words: `tool_choice` none."""
    code, space, rest = name.partition(" ")
    if name in _MEMBERS or re.fullmatch(r"\w+[_.][\w.]+", code):
        return f"`{code}`{space}{rest}"
    return name


def listed(words: Iterable[Word]) -> str:
    """Words in a sentence."""
    return ", ".join(shown(word.value) for word in words)


def codes(names: Iterable[str]) -> str:
    """Members in a sentence."""
    return ", ".join(f"`{name}`" for name in names)


def in_brackets(note: str) -> str:
    """A reason, where there is one."""
    return f" ({note})" if note else ""


def anchor(title: str) -> str:
    """Where a heading is found."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def head(*cells: str) -> tuple[str, str]:
    """The first two lines of a table."""
    return row(*cells), f"|{'---|' * len(cells)}"


def row(*cells: str) -> str:
    """A line of a table."""
    return f"| {' | '.join(cells)} |"


def lined(lines: Iterable[str]) -> str:
    """Lines that end."""
    return "".join(f"{line}\n" for line in lines)


PAGES: Mapping[str, Callable[[], str]] = {"PARAMETERS.md": page, "METRICS.md": docs_metrics.page}


def main() -> int:
    """0 when the pages are written, or are as they would be written."""
    parser = argparse.ArgumentParser(prog="scripts/docs", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, and fail where a page is not fresh")
    check, stale = parser.parse_args().check, []
    for name, made in PAGES.items():
        file, wanted = ROOT / DOCS / name, made()
        if not check:
            file.write_text(wanted, encoding="utf-8")
        elif not file.exists() or file.read_text(encoding="utf-8") != wanted:
            stale.append((DOCS / name).as_posix())
    for name in stale:
        print(f"{name} is not what the code says: run scripts/docs, and commit what it wrote.", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
