"""One request explained, as people read it: the six decisions, the head, credential, limits, times, and a refusal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from llmauth.cli.request_lines import Request, clock, cost, duration, model, plain, size, status, tokens

_ROUTERS = {
    "auth": "auth",
    "mode": "mode",
    "model": "model",
    "provider": "provider",
    "credential": "creds",
    "vault": "vault",
}
_SLOTS = {
    "proxy-authorization": "proxy password",
    "authorization": "Authorization",
    "x-api-key": "X-API-Key",
    "api-key": "api-key",
    "x-goog-api-key": "x-goog-api-key",
    "?key": "?key= in the URL",
    "?x-amz-signature": "a presigned URL",
    "x-session-token": "X-Session-Token",
    "sec-websocket-protocol": "the WebSocket's subprotocol",
}
# Who refused, by the code: the routers by their number, and those that stand between them.
_BY = {
    "invalid_api_key": "1 auth",
    "second_factor_required": "1 auth",
    "not_found": "2 mode",
    "instance_not_found": "2 mode",
    "host_not_allowed": "2 mode, or the caller's rules",
    "model_not_found": "3 model",
    "model_not_allowed": "the caller's rules, after 3 model",
    "forbidden": "the caller's rules",
    "rate_limit_exceeded": "the caller's limits, before 5 creds",
    "insufficient_quota": "the caller's budget, before 5 creds",
    "credential_unavailable": "5 creds",
    "credential_rejected": "the provider, of our credential",
    "provider_unreachable": "the way to the provider",
    "provider_timeout": "the provider, by its silence",
    "provider_answer_broken": "the provider's answer",
    "upstream_proxy_failed": "the company's proxy",
    "draining": "the end of this process",
}
_REFUSALS, _UNSEEN = 400, 499
_LEFT, _MIDDLE = 12, 60


def explained(one: Request) -> Iterator[str]:
    """The lines."""
    yield _first(one)
    yield _second(one)
    yield ""
    yield from _decisions(one)
    for name, text in (
        ("headers", _headers(one.get("headers"))),
        ("body", _body(one)),
        ("limits", _limits(one.get("limits", ()))),
        ("times", _times(one)),
    ):
        if text:
            yield _labelled(name, text)
    yield from _refusal(one) if "refusal" in one else _answer(one)
    if any(each.get("as_before") for each in one.get("decisions", ())):
        yield ""
        yield "as before: decided for an earlier request with the same head on this connection, in the time shown"


def _first(one: Request) -> str:
    provider = one.get("provider_request_id")
    beside = f"   the provider's: {plain(provider)}" if provider else ""
    return f"{plain(one['request_id'])}{beside}"


def _second(one: Request) -> str:
    who = plain(one.get("user") or "nobody who is known")
    source = f"from {plain(one['source'])}" if one.get("source") else ""
    what = " ".join(plain(one[name]) for name in ("method", "host", "path") if one.get(name))
    stream = " stream" if one.get("stream") else ""
    said = (clock(one.get("at")), who, plain(one.get("client", "")), source, what, model(one))
    ended = (f"{status(one)}{stream}", tokens(one), cost(one.get("cost")))
    return f"{'  '.join(part for part in said if part)}  →  {'  '.join(part for part in ended if part)}"


# ---- the six decisions ---------------------------------------------------------------------------------------------


def _decisions(one: Request) -> Iterator[str]:
    made = {each["router"]: each for each in one.get("decisions", ())}
    of_caller = "stage" not in one and "recorded" not in one
    for number, (router, label) in enumerate(_ROUTERS.items(), 1):
        name, decided = f"{number} {label}", made.get(router)
        if decided is not None:
            yield _decided(name, _in_words(router, decided, one), decided)
        elif router not in ("credential", "vault") or not of_caller:
            yield _labelled(name, "not reached")


def _decided(name: str, text: str, decided: Mapping[str, Any]) -> str:
    took = decided.get("ms")
    when = "" if not isinstance(took, int | float) else f"{took:.2f} ms" if took else "–"
    before = " as before" if decided.get("as_before") else ""
    return f"{_labelled(name, text):<{_LEFT + _MIDDLE}}  {when}{before}".rstrip()


def _in_words(router: str, decided: Mapping[str, Any], one: Request) -> str:
    outcome, reason = plain(decided.get("outcome", "")), plain(decided.get("reason", ""))
    asked = plain(decided.get("input", ""))
    match router:
        case "auth":
            refused = "refused: " if "reason" in (one.get("refusal") or {}) else ""
            return f"{refused}{outcome}{_via(asked)} ({reason})"
        case "mode":
            door = f", door {plain(one['door'])}" if "door" in one else ""
            return f"{outcome}{door} ({reason})" if asked in ("", "path") else f"{outcome}{door}, {asked} ({reason})"
        case "model":
            return f"{_model(asked, outcome, one)}{_rule(one.get('allowed_by'))} ({reason})"
        case "provider":
            return f"{asked or plain(one.get('instance', ''))} ({outcome})"
        case "credential":
            return _credential(outcome, one.get("credential") or {})
        case _:
            return outcome if outcome == "n/a" else f"{outcome} {asked}".rstrip()


def _via(slots: str) -> str:
    """`tunnel+authorization` is what stood there; a tunnel's proof goes before."""
    first = slots.partition("+")[0]
    if first in ("", "none"):
        return ""
    return " via the tunnel's proof" if first == "tunnel" else f" via {_SLOTS.get(first, first)}"


def _model(asked: str, outcome: str, one: Request) -> str:
    if outcome == "unread":
        return f"{plain(one['asked'])}, as the body says" if one.get("asked") else "not read"
    return outcome if asked in ("", outcome) else f"{asked} → {outcome}"


def _rule(allowed_by: Mapping[str, Any] | None) -> str:
    if not allowed_by:
        return ""
    if allowed_by.get("models") == "any":
        return ", any is allowed"
    holder = f" of {plain(allowed_by['of'])}" if "of" in allowed_by else ""
    return f', allowed by rule "{plain(allowed_by.get("models", "?"))}"{holder}'


def _credential(outcome: str, lent: Mapping[str, Any]) -> str:
    parts = [f"{outcome}{_from(lent)}"]
    for name, label in (("age", "age"), ("renews_in", "refresh in"), ("expires_in", "ends in")):
        if name in lent:
            parts.append(f"{label} {_span(int(lent[name]))}")
    return ", ".join(parts)


def _from(lent: Mapping[str, Any]) -> str:
    return f" from {plain(lent['source'])}" if lent.get("source") else ""


def _span(seconds: int) -> str:
    seconds = max(0, seconds)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


# ---- what else is known --------------------------------------------------------------------------------------------


def _headers(changed: Mapping[str, Any] | None) -> str:
    if not changed:
        return ""
    parts = [f"-{plain(each['name'])}{_bracketed(each.get('was'))}" for each in changed["removed"]]
    parts += [f"+{plain(each['name'])}{_bracketed(each.get('is'))}" for each in changed["added"]]
    parts += [f"~{plain(name)}" for name in changed["changed"]]
    return " ".join(parts) or "unchanged"


def _bracketed(word: object) -> str:
    return f"({plain(word)})" if word else ""


def _body(one: Request) -> str:
    body = one.get("body")
    if not body:
        return ""
    digest = f", sha256 {plain(body['sha256'])}" if "sha256" in body else ""
    if body["unchanged"]:
        known = f", {size(body['came'])}" if "came" in body else ""
        return f"unchanged{known}{digest}"
    came, sent = body.get("came"), body.get("sent")
    return f"{size(came)} came, {size(sent) if sent is not None else 'another'} sent{digest}"


def _limits(limits: Sequence[Mapping[str, Any]]) -> str:
    return "; ".join(f"{plain(each['of'])} {', '.join(_numbers(each))}" for each in limits)


def _numbers(limit: Mapping[str, Any]) -> Iterator[str]:
    for name, unit in (("rpm", "requests a minute"), ("tpm", "tokens a minute"), ("concurrent", "at the same time")):
        if name in limit:
            yield f"{int(limit[name]):,} {unit}"
    if "budget" in limit:
        yield f"${plain(limit['budget']['amount'])} a {plain(limit['budget']['per'])}"


def _times(one: Request) -> str:
    named = (
        ("overhead_ms", "proxy"),
        ("dial_ms", "connect"),
        ("upstream_ms", "upstream"),
        ("first_byte_ms", "first byte after"),
        ("ms", "all"),
    )
    return ", ".join(f"{label} {said}" for name, label in named if (said := duration(one.get(name))))


def _answer(one: Request) -> Iterator[str]:
    """Of one that we let through."""
    if isinstance(number := one.get("status"), int) and number >= _REFUSALS:
        yield ""
        yield _labelled("answer", f"the provider's own {number}, passed on" if number != _UNSEEN else "the client left")
    if one.get("renewed"):
        yield _labelled("again", "the provider refused our credential, and the request was sent once more with another")
    if one.get("limit"):
        yield _labelled("ended", f"by the limit {plain(one['limit'])}")


def _refusal(one: Request) -> Iterator[str]:
    refusal = one["refusal"]
    code, fault = plain(refusal["code"]), refusal.get("fault")
    by = _BY.get(code) or ("the screening, before any router" if not one.get("decisions") else "the gateway")
    yield ""
    yield _labelled("refused", f"{status(one)} {code}{f', fault {plain(fault)}' if fault else ''}, by {by}")
    if "reason" in refusal:
        known = f" fp={plain(refusal['fp'])}" if refusal.get("fp") else ""
        yield _labelled(
            "", f"auth_failed reason={plain(refusal['reason'])} source={plain(one.get('source', '-'))}{known}"
        )
    for name, label in (("message", "told"), ("hint", "to do"), ("detail", "log")):
        if refusal.get(name):
            yield _labelled(label, plain(refusal[name]))


def _labelled(label: str, text: str) -> str:
    return f"{label:<{_LEFT}}{text}".rstrip()
