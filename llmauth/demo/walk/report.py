"""Everything around the table for a person: what the callers hold, what was found, and what to try next."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterator, Sequence

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from llmauth.demo.walk import protocol, table, wording
from llmauth.demo.walk.access import Access
from llmauth.demo.walk.evidence import Outcome
from llmauth.demo.walk.shells import Shell, behind_proxy
from llmauth.demo.walk.stage import Stage, place_of

_QUESTION = '{"model": "gpt-4o", "messages": [{"role": "user", "content": "Who are you?"}]}'
_PROTOCOL_MODE = (
    "\nProtocol mode: a program speaks what it was written for, and whoever is configured answers. "
    f"Alice's calls {protocol.REROUTED}, a host of OpenAI's, which is rerouted here and never contacted.\n"
)
# With --cacert: where CURL_CA_BUNDLE is set already, curl does not look at SSL_CERT_FILE.
_OPTIONS = "--cacert \"$SSL_CERT_FILE\" -H 'Content-Type: application/json'"
CURL = f"curl {_OPTIONS} https://api.openai.com/v1/chat/completions -d '{_QUESTION}'"
_OF_GEMINI = _QUESTION.replace("gpt-4o", protocol.FAST)
REROUTED_CURL = f"curl {_OPTIONS} https://{protocol.REROUTED}/v1/chat/completions -d '{_OF_GEMINI}'"


def show(console: Console, outcomes: Sequence[Outcome]) -> None:
    """What the callers hold, their calls, and what follows from them."""
    console.print(_holdings(outcomes))
    console.print(table.transparent([one for one in outcomes if one.step.spoken is None], console.width))
    if spoken := [one for one in outcomes if one.step.spoken is not None]:
        console.print(_PROTOCOL_MODE)
        console.print(table.spoken(spoken, console.width))
    console.print(findings(outcomes))


def _holdings(outcomes: Sequence[Outcome]) -> RenderableType:
    """The shells of those who call with every SDK."""
    shells = {outcome.shell.caller: outcome.shell for outcome in outcomes if len(outcome.shell.steps) > 2}
    grid = Table.grid(padding=(0, 2))
    grid.add_column()
    grid.add_column(overflow="fold")
    for caller, shell in shells.items():
        grid.add_row(Text(caller, "bold"), _variables(shell))
    return Group(Text("All that the callers hold is a key of the proxy, and placeholders:"), "", grid, "")


def _variables(shell: Shell) -> Text:
    lines = [Text.assemble((f"{name}=", "dim"), wording.variable(value)) for name, value in shell.variables.items()]
    return Text("\n").join(lines)


def findings(outcomes: Sequence[Outcome]) -> RenderableType:
    """Whether all went as it must, who paid, and what it cost in time."""
    return Group("", _verdict(outcomes), *_problems(outcomes), "", _bill(outcomes), "", _cost(outcomes))


def _verdict(outcomes: Sequence[Outcome]) -> Text:
    wrong = sum(bool(outcome.problems) for outcome in outcomes)
    if wrong:
        return Text(f"{wrong} of {len(outcomes)} calls went wrong:", "bold red")
    refused = sum(outcome.refused for outcome in outcomes)
    said = f"All {len(outcomes)} calls went as they must: {len(outcomes) - refused} answered, {refused} refused before "
    return Text(said + "a provider saw them; nothing that a caller held reached a provider.", "green")


def _problems(outcomes: Sequence[Outcome]) -> Iterator[Text]:
    for outcome in outcomes:
        for problem in outcome.problems:
            yield Text(f"  {outcome.shell.caller}, {wording.call(outcome)}: {problem}", "red")


def _bill(outcomes: Sequence[Outcome]) -> RenderableType:
    """The calls that a provider answered, by caller and by the instance whose credential paid for them."""
    paid = [outcome for outcome in outcomes if outcome.received is not None and outcome.access is not None]
    grid = Table.grid(padding=(0, 2))
    for caller in dict.fromkeys(outcome.shell.caller for outcome in paid):
        counted = Counter(wording.paid_by(outcome) for outcome in paid if outcome.shell.caller == caller)
        grid.add_row("", Text(caller, "bold"), "  ".join(f"{name} {count}" for name, count in counted.items()))
    return Group(Text("The proxy's credentials paid, and its log knows for whom (calls by instance):"), grid)


def _cost(outcomes: Sequence[Outcome]) -> Text:
    taken = [spent for spent in map(wording.overhead, outcomes) if spent is not None]
    if not taken:
        return Text("")
    middle, most = wording.milliseconds(statistics.median(taken)), wording.milliseconds(max(taken))
    said = f"Our overhead, from a request's arrival until it is judged and signed: median {middle}, at most {most} "
    return Text(said + "(a key's first use costs more than its later ones). Opening connections is not counted.")


def invite(console: Console, stage: Stage) -> None:
    """Where the proxy is, and lines to paste into another terminal; these are never wrapped."""
    console.print(f"\nThe proxy listens on {stage.url} until Ctrl-C. Try it from another terminal, as alice:\n")
    for name, value in trial(stage).items():
        console.print(Text(f"  export {name}={value}"), soft_wrap=True)
    console.print(Text(f"  {CURL}"), soft_wrap=True)
    console.print("\nThe same for a host that is rerouted, where Gemini on Vertex answers:\n")
    console.print(Text(f"  {REROUTED_CURL}"), soft_wrap=True)
    console.print()
    console.print(Text(f"  configuration  {stage.config}"), soft_wrap=True)
    console.print(Text(f"  log            {stage.proxy.log_file}"), soft_wrap=True)
    console.print("\nWhat you send appears here. Ctrl-C ends the proxy and the emulated providers.")


def trial(stage: Stage) -> dict[str, str]:
    """The variables with which a person calls as alice."""
    place = place_of(stage)
    every = behind_proxy(place, "alice", place.keys["alice"])
    return {name: every[name] for name in ("HTTPS_PROXY", "SSL_CERT_FILE", "AWS_CA_BUNDLE")}


def live(access: Access, received: str | None) -> Text:
    """One line for a request that came after the walk."""
    where = access.instance or access.target or "the proxy"
    told = f"{where} received {received or 'nothing'}{f', {access.code}' if access.code else ''}"
    spent = "" if access.overhead_ms is None else f"  overhead {wording.milliseconds(access.overhead_ms)}"
    style = "green" if access.status < 400 else "yellow"
    who = access.user or "no one"
    return Text.assemble(
        f"{access.timestamp[11:19]}  ", (f"{who:<6}", "bold"), (f" {access.status} ", style), told, spent
    )
