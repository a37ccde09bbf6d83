"""What we decided about a request, beside its copy: a marker, one line for the list, and the whole of it to be read."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from mitmproxy import http

from addons.exchange import Exchange
from addons.viewing.heads import shown_path
from addons.viewing.masks import Masks
from addons.viewing.seen import Seen
from llmauth.context import (
    Authenticated,
    Carried,
    Credentialed,
    Decision,
    Identity,
    ProtocolRoute,
    RequestContext,
    Routed,
)
from llmauth.errors import GatewayError
from llmauth.http import Door
from llmauth.telemetry.access import Outcome

_ATTRIBUTE = "llmauth_notes"
_LONGEST = 400
_REFUSED, _FAILED, _CUT = ":no_entry:", ":x:", ":scissors:"
_THEIRS = ("provider", "proxy")
_BAD = 400


def notes_of(flow: object) -> str:
    """What is told of a copy, empty for any other flow."""
    found = flow.__dict__.get(_ATTRIBUTE, "")
    return found if isinstance(found, str) else ""


def write(seen: Seen, masks: Masks) -> None:
    """Tell of the flow on its copy; from the exchange, as far as it came."""
    exchange, copy = seen.exchange, seen.copy
    if exchange is None:
        return
    facts = {name: value for name, value in _facts(seen, exchange, masks).items() if value not in (None, "", (), [])}
    told = copy.__dict__[_ATTRIBUTE] = masks.line(_page(facts))
    copy.comment = f"{masks.line(_safe(_line(seen, exchange)))}\n\n{told}"
    copy.marked = _marker(copy, exchange, seen.outcome)


def _marker(copy: http.HTTPFlow, exchange: Exchange, outcome: Outcome | None) -> str:
    if exchange.error is not None:
        return _FAILED if exchange.error.fault in _THEIRS else _REFUSED
    if (outcome is not None and outcome.cut) or copy.error is not None:
        return _CUT
    return _FAILED if copy.response is not None and copy.response.status_code >= _BAD else ""


# ---- one line ------------------------------------------------------------------------------------------------------


def _line(seen: Seen, exchange: Exchange) -> str:
    context, outcome = exchange.context, seen.outcome
    identity = _identity(context)
    said = [identity.user if identity is not None else "nobody yet" if seen.ended_at is None else "nobody"]
    if isinstance(context, Routed):
        said.append("→ " + " ".join(filter(None, (context.target.instance, context.target.model))))
    if isinstance(context, Carried):
        said.append(f"→ {context.destination}")
    if exchange.error is not None:
        said.append(f"· {exchange.error.code} ({exchange.error.fault})")
    elif outcome is not None and outcome.usage is not None:
        said.append(f"· {outcome.usage.prompt} in, {outcome.usage.output} out")
    if outcome is not None:
        if outcome.cost is not None:
            said.append(f"· ${outcome.cost.normalize():f}")
        said.append(f"· {_milliseconds(outcome.finished - context.started)}")
    elif seen.ended_at is None:
        said.append("· running")
    return " ".join(said)


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


# ---- the whole -----------------------------------------------------------------------------------------------------


def _facts(seen: Seen, exchange: Exchange, masks: Masks) -> dict[str, Any]:
    context, outcome, request = exchange.context, seen.outcome, exchange.request
    return {
        "request id": context.request_id,
        "provider's id": exchange.provider_request_id,
        "door": exchange.door.value,
        "asked": f"{request.method} {shown_path(request.url.path.partition('?')[0], masks)}",
        "state": _state(seen, exchange, outcome),
        "refused": _refusal(exchange.error) if exchange.error is not None else None,
        "decisions": [_decision(one) for one in exchange.judged],
        **_who(_identity(context)),
        **_where(exchange, context),
        **_credential(exchange, context),
        "header changes": [f"{name}: {change}" for name, change in seen.changes],
        **_spent(outcome),
        "timings": _timings(exchange, outcome),
    }


def _state(seen: Seen, exchange: Exchange, outcome: Outcome | None) -> str:
    if exchange.door is Door.CONNECT and exchange.error is None:
        return "a tunnel; its bytes pass unread"
    if seen.ended_at is None:
        return "running"
    return "cut: the answer had begun, and did not end" if outcome is not None and outcome.cut else "over"


def _refusal(error: GatewayError) -> dict[str, Any]:
    told = {"fault": error.fault, "code": error.code, "status": error.status, "why": error.message, "hint": error.hint}
    reason = getattr(error, "reason", "")
    return {**{name: value for name, value in told.items() if value}, **({"reason": reason} if reason else {})}


def _decision(decision: Decision) -> str:
    took = f"  [{decision.took * 1000:.2f} ms]" if decision.took else ""
    return f"{decision.router}: {decision.input} → {decision.outcome} ({decision.reason}){took}"


def _identity(context: RequestContext) -> Identity | None:
    return context.identity if isinstance(context, Authenticated) else None


def _who(identity: Identity | None) -> dict[str, Any]:
    if identity is None:
        return {}
    known = {"user": identity.user, "method": identity.method, "key id": identity.key_id, "key": identity.key_name}
    factor = {"second factor": "shown"} if identity.second_factor else {}
    groups = {"groups": ", ".join(identity.groups)} if identity.groups else {}
    return {"caller": {**{name: value for name, value in known.items() if value}, **groups, **factor}}


def _where(exchange: Exchange, context: RequestContext) -> dict[str, Any]:
    if isinstance(context, Carried):
        return {"destination": str(context.destination)}
    if not isinstance(context, Routed):
        return {}
    target, route = context.target, context.route
    named = {"instance": target.instance, "provider": target.provider, "region": target.region, "model": target.model}
    spoken = {"protocol": f"{route.protocol} {route.operation}"} if isinstance(route, ProtocolRoute) else {}
    asked = {"asked for": exchange.asked} if exchange.asked and exchange.asked != target.model else {}
    return {"target": {**{name: value for name, value in named.items() if value}, **asked, **spoken}}


def _credential(exchange: Exchange, context: RequestContext) -> dict[str, Any]:
    if not isinstance(context, Credentialed):
        return {}
    leased, now = exchange.leased, time.time()
    told: dict[str, Any] = {"strategy": context.strategy}
    if leased is not None:
        told |= {"age": _seconds(now - leased.loaded_at)}
    if context.expires_at is not None:
        told["ends in"] = _seconds(context.expires_at - now)
    return {"credential": {**told, **({"renewed": "yes, after a refusal"} if exchange.again else {})}}


def _seconds(seconds: float) -> str:
    return f"{seconds:.0f} s"


def _spent(outcome: Outcome | None) -> dict[str, Any]:
    if outcome is None:
        return {}
    usage, told = outcome.usage, dict[str, Any]()
    if usage is not None:
        told["tokens"] = {
            name: count
            for name, count in (
                ("input", usage.input),
                ("cache read", usage.cache_read),
                ("cache write", usage.cache_write),
                ("output", usage.output),
                ("of it reasoning", usage.reasoning),
            )
            if count
        }
    if outcome.unmetered is not None:
        told["tokens are not known, or not all"] = str(outcome.unmetered)
    if outcome.carried is not None:
        told["carried"] = "{:,} bytes from the client, {:,} to it".format(*outcome.carried)
    if outcome.cost is not None:
        told["cost"] = f"${outcome.cost.normalize():f}"
    return told


def _timings(exchange: Exchange, outcome: Outcome | None) -> dict[str, str]:
    started, first, data = exchange.context.started, exchange.first_byte_at, exchange.first_data_at
    moments = {"first byte": first - started if first else None, "first data": data - started if data else None}
    stretches: dict[str, float | None] = dict(moments)
    if outcome is not None:
        ours = {"ours": outcome.overhead, "dial": outcome.dial, "provider": outcome.upstream}
        stretches = {**ours, **moments, "in all": outcome.finished - started}
    return {name: _milliseconds(value) for name, value in stretches.items() if value is not None}


# ---- as text -------------------------------------------------------------------------------------------------------


def _page(facts: Mapping[str, Any]) -> str:
    return "\n".join(_lines(facts))


def _lines(facts: Mapping[str, Any]) -> Iterator[str]:
    for name, value in facts.items():
        match value:
            case Mapping():
                yield f"{name}:"
                yield from (f"  {key}: {_safe(str(each))}" for key, each in value.items())
            case list() | tuple():
                yield f"{name}:"
                yield from (f"  - {_safe(str(each))}" for each in value)
            case _:
                yield f"{name}: {_safe(str(value))}"


def _safe(text: str) -> str:
    """One line, of characters that can be seen: others wrote some of it."""
    return "".join(each if each.isprintable() else "\ufffd" for each in text[:_LONGEST])
