"""What became of a request, as one observation for the metrics and one line for the access log."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from llmauth.chat.messages import Usage
from llmauth.context import Authenticated, Carried, Credentialed, Decision, ProtocolRoute, RequestContext, Routed
from llmauth.errors import GatewayError, RateLimited, Unauthenticated, UpstreamError
from llmauth.http import Door, Request
from llmauth.secrets import MASK
from llmauth.storage.key_text import may_hold_key
from llmauth.telemetry.logs import tell
from llmauth.telemetry.metrics import Metrics, Observation

log = logging.getLogger("llmauth.access")
decisions_log = logging.getLogger("llmauth.decisions")

# A client's method may be anything when the request was refused for it.
_LONGEST_METHOD = 20


@dataclass(slots=True, kw_only=True)
class Outcome:
    """A finished request. Moments are monotonic seconds, stretches are seconds; `status` is what the client saw.

    `overhead` is what we took to judge and sign, `dial` what it took to have a connection to the provider, `upstream`
    what came after that, until the end. `first_data_at` is when the answer's body began, where it passed piece by
    piece. `cut` tells that the answer had begun and did not end; `provider_request_id` is the provider's own where it
    differs. `carried` are the bytes of a WebSocket, from the client and to it; `limit` names the limit that ended it.
    `usage` is what the answer told of its tokens, `unmetered` why it did not, or not of all. `renewed` tells that the
    provider refused the credential, and the request was sent once more with another one; `cost` is what its tokens
    cost by the price table, `priced` tells that there is one.
    """

    context: RequestContext
    request: Request
    status: int
    finished: float
    overhead: float | None
    dial: float | None
    first_byte_at: float | None
    error: GatewayError | None
    decisions: tuple[Decision, ...]
    cut: bool
    provider_request_id: str | None
    carried: tuple[int, int] | None = None
    limit: str | None = None
    usage: Usage | None = None
    unmetered: str | None = None
    upstream: float | None = None
    first_data_at: float | None = None
    renewed: bool = False
    cost: Decimal | None = None
    priced: bool = False


def write(outcomes: Sequence[Outcome], metrics: Metrics) -> None:
    """Count each outcome; log, at debug level, each decision that led to it, and then its line."""
    for outcome in outcomes:
        metrics.observe(observation(outcome))
    if decisions_log.isEnabledFor(logging.DEBUG):
        tell(decisions_log, logging.DEBUG, "decision", [facts for outcome in outcomes for facts in decisions(outcome)])
    if log.isEnabledFor(logging.INFO):
        tell(log, logging.INFO, "request", [line(outcome) for outcome in outcomes])


def decides_in_detail() -> bool:
    """Whether what is found out for people who look closely is worth its time."""
    return decisions_log.isEnabledFor(logging.DEBUG)


def clocked(decision: Decision, since: float) -> Decision:
    """The decision with the time it took since a `time.perf_counter()`."""
    return Decision(  # written out: `replace` takes twice the microsecond that this does
        router=decision.router,
        input=decision.input,
        outcome=decision.outcome,
        reason=decision.reason,
        took=time.perf_counter() - since,
    )


def observation(outcome: Outcome) -> Observation:
    """The metrics' view: labels from the configuration and closed sets alone."""
    context, error = outcome.context, outcome.error
    started = context.started
    target = context.target if isinstance(context, Routed) else None
    first = outcome.first_data_at or outcome.first_byte_at
    spoken = _spoken(context)
    return Observation(
        instance=target.instance if target else "",
        provider=target.provider if target else "",
        region=(target.region or "") if target else "",
        mode="" if target is None else "transparent" if spoken is None else "protocol",
        protocol="" if target is None else "native" if spoken is None else spoken.protocol,
        model=(target.model or "") if target else "",
        method=outcome.request.method,
        status=outcome.status,
        seconds=outcome.finished - started,
        first_byte=first - started if first is not None else None,
        overhead=outcome.overhead,
        connect=outcome.dial,
        upstream=outcome.upstream,
        error=error.code if error is not None else None,
        fault=error.fault if error is not None else "",
        limit=error.limit if isinstance(error, RateLimited) else "",
        aborted=outcome.cut,
        carried=outcome.carried,
        usage=outcome.usage,
        unmetered=outcome.unmetered,
        cost=float(outcome.cost) if outcome.cost is not None else None,
        unpriced=outcome.cost is None and outcome.usage is not None and outcome.priced,
    )


def _spoken(context: RequestContext) -> ProtocolRoute | None:
    """The route of protocol mode, where a request came by one."""
    route = context.route if isinstance(context, Routed) else None
    return route if isinstance(route, ProtocolRoute) else None


def line(outcome: Outcome) -> dict[str, Any]:
    """The access log's view: who, where to, how it ended and how long it took; no header, no query and no body."""
    context, request = outcome.context, outcome.request
    facts: dict[str, Any] = {
        "request_id": context.request_id,
        "door": request.door.value,
        "method": request.method[:_LONGEST_METHOD],
        "status": outcome.status,
        "ms": _milliseconds(outcome.finished - context.started),
        "stage": type(context).__name__,
        "source": request.source,
    }
    if request.door is Door.CONNECT:
        facts["target"] = str(request.tunnel)
    if isinstance(context, Carried):
        facts["target"] = str(context.destination)
    if isinstance(context, Authenticated):
        facts["user"], facts["key_id"] = context.identity.user, context.identity.key_id
    if isinstance(context, Routed):
        facts["instance"], facts["provider"] = context.target.instance, context.target.provider
    spoken = _spoken(context)
    if spoken is not None:
        facts["protocol"], facts["operation"] = spoken.protocol, spoken.operation
        facts["model"] = context.target.model if isinstance(context, Routed) else None
    if isinstance(context, Credentialed):
        facts["strategy"] = context.strategy
    if outcome.overhead is not None:
        facts["overhead_ms"] = _milliseconds(outcome.overhead)
    if outcome.dial is not None:
        facts["dial_ms"] = _milliseconds(outcome.dial)
    if outcome.upstream is not None:
        facts["upstream_ms"] = _milliseconds(outcome.upstream)
    if outcome.first_byte_at is not None:
        facts["first_byte_ms"] = _milliseconds(outcome.first_byte_at - context.started)
    if outcome.first_data_at is not None:
        facts["first_token_ms"] = _milliseconds(outcome.first_data_at - context.started)
    if outcome.renewed:
        facts["renewed"] = True
    if outcome.error is not None:
        facts.update(_refusal(outcome.error))
    elif outcome.cut:
        facts["cut"] = True
    if outcome.limit is not None:
        facts["limit"] = outcome.limit
    if outcome.carried is not None:
        facts["bytes_in"], facts["bytes_out"] = outcome.carried
    if outcome.usage is not None:
        facts.update(_tokens(outcome.usage))
    if outcome.cost is not None:
        facts["cost"] = str(outcome.cost)
    if outcome.unmetered is not None:
        facts["unmetered"] = outcome.unmetered
    if outcome.provider_request_id is not None:
        facts["provider_request_id"] = outcome.provider_request_id
    return facts


def decisions(outcome: Outcome) -> Iterator[dict[str, Any]]:
    """Each router's decision, in the order in which they were made."""
    for each in outcome.decisions:
        yield {
            "request_id": outcome.context.request_id,
            "router": each.router,
            "input": each.input,
            "outcome": each.outcome,
            "reason": each.reason,
            "ms": round(each.took * 1000, 3),
        }


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 2)


def _tokens(usage: Usage) -> dict[str, int]:
    """Input and output always, and of the others those that are not nothing."""
    facts = {"input_tokens": usage.input, "output_tokens": usage.output}
    more = (
        ("cache_read_tokens", usage.cache_read),
        ("cache_write_tokens", usage.cache_write),
        ("reasoning_tokens", usage.reasoning),
    )
    return {**facts, **{name: number for name, number in more if number}}


def _refusal(error: GatewayError) -> dict[str, Any]:
    facts = {"code": error.code, "fault": error.fault, "detail": error.detail or told(error)}
    if isinstance(error, Unauthenticated):  # the words of the line `auth_failed`, which knows no request id
        facts |= {"reason": error.reason, "fp": error.fp}
    return facts


# A path that is not served is repeated to whoever asked for it: keys of providers that stand there are not for a log.
_KEYS = re.compile(
    r"\b(?:sk|pk|rk)[-_][-\w]{16,}|\b(?:AIza|AKIA|ASIA|ABSK|ya29\.)[-\w+/=]{12,}|\beyJ[-\w]{8,}\.[-\w.]+"
)


def told(error: GatewayError) -> str:
    """The sentence that the client got, but for what others wrote in it: a provider, of the prompt, or a client that
    put a key in the wrong place."""
    if isinstance(error, UpstreamError):
        return f"the provider refused: {error.cause}"
    return unkeyed(error.message)


def unkeyed(text: str) -> str:
    """What a client wrote, without what may be a key: of ours, for which all of it goes, or of a provider's."""
    return MASK if may_hold_key(text) else _KEYS.sub(MASK, text)
