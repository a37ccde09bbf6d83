"""How callers, calls, credentials and times are called in what a person reads."""

from __future__ import annotations

import re

from llmauth.demo.walk.evidence import Outcome
from llmauth.demo.walk.shells import PROXY

_SDKS = {"openai": "OpenAI", "agent": "OpenAI", "anthropic": "Anthropic", "bedrock": "boto3", "curl": "curl"}
_METHODS = {
    "tool_call": "chat, tool called",
    "tool_result": "chat, tool's result",
    "chat_stream": "chat, streamed",
    "messages_stream": "messages, streamed",
    "invoke_model_with_response_stream": "invoke_model, streamed",
}
# What of a provider's path names the model, or whose project it is in.
_BEFORE_OPERATION = re.compile(r"/model/[^/]+/|/v1/projects/.+/models/")
_KEY = re.compile(r"(llmauth_\w{4})\w+")
NONE = "–"


def call(outcome: Outcome) -> str:
    """`boto3 converse_stream`, `OpenAI chat, key revoked`: at most 28 characters."""
    sdk, _, method = outcome.step.call.partition(".")
    said = _METHODS.get(method, method)
    note = f", {outcome.step.note}" if outcome.step.note else ""
    return f"{_SDKS[sdk]} {said}{note}"


def held(outcome: Outcome, *, whole: bool = False) -> str:
    """What stood where the provider's credential belongs; the gateway's key, where the SDK could send that."""
    values = dict(outcome.report.held)
    proxy, own = values.pop("HTTPS_PROXY", None), values.pop("LLMAUTH_KEY", None)
    slot = own or next(iter(values.values()), NONE)
    key_matters = outcome.step.note in ("wrong key", "key revoked")
    if whole and proxy:
        return f"{_short(slot)} + {_short(proxy)}"
    return _short(proxy if proxy and key_matters else slot)


def _short(masked: str) -> str:
    return variable(masked.rstrip("…"))


def variable(value: str) -> str:
    """A variable's value with a gateway's key in it shortened: four characters of its id tell it from others."""
    return _KEY.sub(r"\1…", value)


def received(outcome: Outcome, *, short: bool = False) -> str:
    """What the provider received; for a call that it never saw, why not."""
    if outcome.received is None:
        code = outcome.access.code if outcome.access is not None else None
        return f"nothing ({code})" if code and not short else "nothing"
    return outcome.received.text.partition("/")[0] if short else outcome.received.text


def path(outcome: Outcome) -> str:
    """Where the provider received it: `…/converse` for Bedrock, whose model ids are long. At most 38 characters."""
    if outcome.received is None:
        return "nothing"
    return _BEFORE_OPERATION.sub("…/", outcome.received.path)


def answered_in(outcome: Outcome) -> str:
    """The protocol that the answer was given in, which may be another than was spoken."""
    wanted = outcome.step.spoken.wanted if outcome.step.spoken is not None else None
    return wanted.format.name if wanted is not None else "the proxy itself"


def door(outcome: Outcome) -> str:
    """The path of the gateway, or the rerouted host, that a call of protocol mode came by; the model's short name."""
    spoken = outcome.step.spoken
    return NONE if spoken is None else ", ".join(filter(None, (spoken.door, spoken.model)))


def way(outcome: Outcome) -> str:
    """In one word, how the SDK was pointed at the gateway."""
    return "proxy" if outcome.shell.way == PROXY else "base URL"


def status(outcome: Outcome) -> str:
    """The status that the caller saw."""
    return NONE if outcome.report.status is None else str(outcome.report.status)


def milliseconds(value: float | None) -> str:
    """`0.41 ms`, `25.1 ms`, `254 ms`, `1.2 s`: at most 7 characters."""
    if value is None:
        return NONE
    if value >= 1000:
        return f"{value / 1000:.1f} s"
    digits = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:.{digits}f} ms"


def overhead(outcome: Outcome) -> float | None:
    """Milliseconds from a request's arrival at the gateway to its departure for the provider."""
    return None if outcome.access is None else outcome.access.overhead_ms


def paid_by(outcome: Outcome) -> str:
    """The instance whose credential paid."""
    instance = outcome.access.instance if outcome.access is not None and outcome.received is not None else None
    return instance or NONE
