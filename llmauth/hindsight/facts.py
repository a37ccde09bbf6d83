"""A remembered request as plain values: for JSON, for a table, for another process, and for whom it is about."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from llmauth.authenticators.stripping import CREDENTIAL_HEADERS
from llmauth.context import Decision
from llmauth.governance.demands import NANOS, Scope
from llmauth.governance.model_names import Globs, names_of
from llmauth.hindsight.remembered import Body, Head, Lent, Refusal, Remembered
from llmauth.secrets import MASK
from llmauth.telemetry.access import unkeyed

Origin = Callable[[Remembered], str | None]
"""Whose rules name the models that a caller may use; None where nobody's do, or where they are others by now."""

_LONGEST_PATH = 300
_LONGEST_NAME = 60
_MOST_NAMES = 60
_DOORS = {"connect": "forward", "tunnel": "forward", "absolute": "forward", "gateway": "path"}
# To these headers a caller's proof and a provider's credential both belong.
_PROXY = b"proxy-authorization"
_SIGNED = frozenset({b"x-amz-date", b"x-amz-content-sha256", b"x-content-sha256", b"x-amz-region-set"})
# What a caller is told of the routers' decisions: where credentials come from is the operator's.
_OF_THE_OPERATOR = frozenset({"credential", "vault"})


def brief(one: Remembered) -> dict[str, Any]:
    """What fits into a line: who, where to, how it ended, what it cost. Names are those of the access log."""
    usage, target, refusal = one.usage, one.target, one.refusal
    told: dict[str, Any] = {
        "request_id": one.request_id,
        "provider_request_id": one.provider_request_id,
        "at": round(one.at, 3),
        "running": one.status is None,
        "user": one.identity.user if one.identity is not None else None,
        "client": one.head.client if one.head is not None else None,
        "source": one.source,
        "door": _DOORS[one.door.value],
        "method": one.method,
        "host": one.host,
        "path": unkeyed(one.path)[:_LONGEST_PATH],
        "protocol": one.protocol,
        "operation": one.operation,
        "answer": None if one.passed is None else "passed" if one.passed else "translated",
        "asked": _text(one.asked),
        "model": _text(target.model) if target is not None else None,
        "instance": target.instance if target is not None else None,
        "status": one.status,
        "stream": one.streamed,
        "cut": one.cut,
        "limit": one.limit,
        "ms": _ms(one.seconds),
        "overhead_ms": _ms(one.overhead),
        "dial_ms": _ms(one.dial),
        "upstream_ms": _ms(one.upstream),
        "first_byte_ms": _ms(one.first_byte),
        "input_tokens": usage.input if usage is not None else None,
        "output_tokens": usage.output if usage is not None else None,
        "cache_read_tokens": usage.cache_read or None if usage is not None else None,
        "cache_write_tokens": usage.cache_write or None if usage is not None else None,
        "reasoning_tokens": usage.reasoning or None if usage is not None else None,
        "unmetered": one.unmetered,
        "cost": str(one.cost) if one.cost is not None else None,
        "bytes_in": one.carried[0] if one.carried is not None else None,
        "bytes_out": one.carried[1] if one.carried is not None else None,
        "renewed": one.renewed,
        "code": refusal.code if refusal is not None else None,
        "fault": refusal.fault if refusal is not None else None,
    }
    return {name: value for name, value in told.items() if value is not None and value is not False}


def whole(one: Remembered, origin: Origin) -> dict[str, Any]:
    """All that is remembered, for the operator."""
    identity, target = one.identity, one.target
    told = {
        **brief(one),
        "stage": one.stage,
        "proved_by": identity.method if identity is not None else None,
        "key_id": identity.key_id if identity is not None else None,
        "key_name": identity.key_name if identity is not None else None,
        "groups": list(identity.groups) if identity is not None and identity.groups else None,
        "provider": target.provider if target is not None else None,
        "region": target.region if target is not None else None,
        "decisions": [_decided(each, one.as_before) for each in one.decisions],
        "refusal": _refused(one.refusal) if one.refusal is not None else None,
        "headers": _headers(one.head) if one.head is not None and one.lent is not None else None,
        "body": _body(one.body) if one.body is not None else None,
        "credential": _lent(one.lent) if one.lent is not None else None,
        "limits": _limits(one) or None,
        "allowed_by": _rule(one, origin),
    }
    return {name: value for name, value in told.items() if value is not None}


def own(one: Remembered) -> dict[str, Any]:
    """What its caller may know of it: nothing of hosts that we dial, of accounts, or of where a credential is from."""
    told = whole(one, lambda _: None)
    for name in ("credential", "stage", "source", "allowed_by"):
        told.pop(name, None)
    told["decisions"] = [each for each in told["decisions"] if each["router"] not in _OF_THE_OPERATOR]
    if "refusal" in told:
        told["refusal"] = {k: v for k, v in told["refusal"].items() if k in ("code", "fault", "message", "hint")}
    return _without_accounts(told)


def own_brief(one: Remembered) -> dict[str, Any]:
    """The line that its caller may read of it."""
    told = brief(one)
    told.pop("source", None)
    return _without_accounts(told)


# The names of some models hold the number of the account that they belong to.
_ACCOUNT = re.compile(r"(arn(?::|%3[Aa])(?:[^:%\s]*(?::|%3[Aa])){3})\d{12}")


def _without_accounts(told: dict[str, Any]) -> dict[str, Any]:
    return {name: _without_account(value) for name, value in told.items()}


def _without_account(value: Any) -> Any:
    if isinstance(value, str):
        return _ACCOUNT.sub(rf"\1{MASK}", value)
    if isinstance(value, dict):
        return _without_accounts(value)
    return [_without_account(each) for each in value] if isinstance(value, list) else value


def _decided(one: Decision, as_before: Iterable[str]) -> dict[str, Any]:
    told: dict[str, Any] = {"router": one.router, "input": _text(one.input), "outcome": _text(one.outcome)}
    told |= {"reason": _text(one.reason), "ms": round(one.took * 1000, 3)}
    return {**told, "as_before": True} if one.router in as_before else told


def _refused(one: Refusal) -> dict[str, Any]:
    return {name: value for name, value in one._asdict().items() if value}


def _headers(head: Head) -> dict[str, Any]:
    """Names alone. Of a credential that was taken away: whether it was the caller's proof, or a placeholder."""
    both = set(head.removed) & set(head.added)
    changed = sorted({name for name in both if name not in CREDENTIAL_HEADERS})
    return {
        "removed": [_taken(name, head.proved) for name in _names(head.removed) if name not in changed],
        "added": [_put(name) for name in _names(head.added) if name not in changed],
        "changed": [_name(name) for name in changed],
    }


def _names(names: Iterable[bytes]) -> list[bytes]:
    return list(dict.fromkeys(names))[:_MOST_NAMES]


def _taken(name: bytes, proved: frozenset[str]) -> dict[str, str]:
    if (name not in CREDENTIAL_HEADERS and name != _PROXY) or name in _SIGNED:
        return {"name": _name(name)}
    return {"name": _name(name), "was": "proof" if _name(name) in proved else "placeholder"}


def _put(name: bytes) -> dict[str, str]:
    real = name in CREDENTIAL_HEADERS and name not in _SIGNED
    return {"name": _name(name), "is": "real"} if real else {"name": _name(name)}


def _name(name: bytes) -> str:
    return unkeyed(name.decode("ascii", "replace"))[:_LONGEST_NAME]


def _body(body: Body) -> dict[str, Any]:
    told = {"came": body.came, "sent": body.sent, "unchanged": body.unchanged, "sha256": body.digest}
    return {name: value for name, value in told.items() if value is not None}


def _lent(lent: Lent) -> dict[str, Any]:
    seconds = {"age": lent.age, "renews_in": lent.renews_in, "expires_in": lent.expires_in}
    known = {name: round(value) for name, value in seconds.items() if value is not None}
    return {"strategy": lent.strategy, "source": lent.source, **known}


def _limits(one: Remembered) -> list[dict[str, Any]]:
    return [_limit(scope) for scope in one.allowance.scopes] if one.allowance is not None else []


def _limit(scope: Scope) -> dict[str, Any]:
    numbers = {"rpm": scope.rpm, "tpm": scope.tpm, "concurrent": scope.concurrent}
    told: dict[str, Any] = {"of": scope.key, **{name: value for name, value in numbers.items() if value is not None}}
    if scope.budget is not None:
        told["budget"] = {"amount": f"{scope.budget / NANOS:.10g}", "per": scope.per}
    return told


def _rule(one: Remembered, origin: Origin) -> dict[str, Any] | None:
    """The glob that let its model through, and whose rules hold it; for one that was refused there is none."""
    allowance, target = one.allowance, one.target
    if allowance is None or target is None or one.refusal is not None:
        return None
    models = allowance.rules.models
    if models is None:
        return {"models": "any"}
    names = [name for name in (one.asked, target.model) if name is not None]
    found = (glob for glob in models if any(Globs([glob]).match_any(names_of(name)) for name in names))
    told = {"models": next(found, None), "of": origin(one)}
    return {name: value for name, value in told.items() if value is not None} or None


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 2)


def _text(text: str | None) -> str | None:
    return None if text is None else unkeyed(text)[:_LONGEST_PATH]
