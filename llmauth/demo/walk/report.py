"""Everything around the table: the shells before it, the findings after it, and the same as one JSON document."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.text import Text

from llmauth.demo.walk import wording
from llmauth.demo.walk.evidence import Outcome
from llmauth.demo.walk.shells import Place, Shell, behind_proxy
from llmauth.demo.walk.stage import Stage
from llmauth.demo.walk.table import table

_QUESTION = '{"model": "gpt-4o", "messages": [{"role": "user", "content": "Who are you?"}]}'


def show(console: Console, stage: Stage, outcomes: Sequence[Outcome]) -> None:
    """The shells, the table, and what follows from it."""
    console.print(Text("What the callers hold: keys of the proxy, and placeholders", "bold"))
    for shell in dict.fromkeys(outcome.shell.caller for outcome in outcomes[:0]):
        console.print(shell)
    console.print()
    console.print(table(outcomes, console.width))
    console.print(findings(outcomes))


def findings(outcomes: Sequence[Outcome]) -> Text:
    return Text()
