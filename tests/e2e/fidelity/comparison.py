"""The comparer: what reached the provider directly, what reached it through us, and every difference that is not meant.

Allowed is this and nothing else: the client's credentials are gone, the provider's are there, hop-by-hop headers and
what `Connection` names are gone, `X-Request-Id` is ours; by path, Host names the provider; a chunked body has a length.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from llmauth.demo.http1 import Field
from llmauth.demo.recorder import Recorded

CREDENTIALS = frozenset(
    {
        *(b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key", b"ocp-apim-subscription-key"),
        *(b"x-totp-code", b"x-session-token"),
        *(b"x-amz-date", b"x-amz-security-token", b"x-amz-content-sha256"),
    }
)
HOP_BY_HOP = frozenset(
    {
        *(b"connection", b"keep-alive", b"te", b"trailer", b"transfer-encoding", b"upgrade", b"expect"),
        *(b"proxy-connection", b"proxy-authorization", b"proxy-authenticate"),
    }
)
ADDED = frozenset({b"x-request-id"})

# What each kind of host may find in the place of the client's credentials: exactly these, once each.
INJECTED = {
    "api.openai.com": (b"Authorization",),
    "api.anthropic.com": (b"x-api-key",),
    "amazonaws.com": (b"Authorization", b"X-Amz-Date", b"X-Amz-Security-Token"),
    "azure.com": (b"api-key",),
    "googleapis.com": (b"Authorization",),
}


def differences(direct: Recorded, via: Recorded, *, by_path: bool = False, varying: Iterable[bytes] = ()) -> list[str]:
    """Every difference between two arrivals of the same call that is not allowed, in words; empty when all is well.

    `varying` are headers whose value is another in every call that an SDK makes; they must be there all the same.
    """
    found = [f"{what}: {one!r} became {other!r}" for what, one, other in _lines(direct, via) if one != other]
    ignored = CREDENTIALS | HOP_BY_HOP | ADDED | _named_by_connection(direct) | ({b"host"} if by_path else set())
    if direct.chunked:
        ignored |= {b"content-length"}
    sent, arrived = (_kept(one, ignored, frozenset(varying)) for one in (direct, via))
    found += [f"header lost: {field!r}" for field in (Counter(sent) - Counter(arrived)).elements()]
    found += [f"header gained: {field!r}" for field in (Counter(arrived) - Counter(sent)).elements()]
    if not found and sent != arrived:
        found.append(f"headers in another order: {sent!r} became {arrived!r}")
    return found + list(_additions(direct, via))


def _lines(direct: Recorded, via: Recorded) -> Iterable[tuple[str, bytes | str, bytes | str]]:
    yield "method", direct.method, via.method
    yield "target", direct.target, via.target
    yield "host", direct.host, via.host
    # Not the bodies themselves: the words for two of 20 MB help nobody.
    same = direct.body == via.body
    yield "body", b"" if same else direct.body[:60], b"" if same else via.body[:60] or b"(empty)"
    yield "body's length", str(len(direct.body)), str(len(via.body))


def _named_by_connection(direct: Recorded) -> set[bytes]:
    return {token.strip().lower() for value in direct.values("connection") for token in value.split(b",")}


def _kept(one: Recorded, ignored: Iterable[bytes], varying: frozenset[bytes]) -> list[Field]:
    kept = [(name, value) for name, value in one.headers if name.lower() not in ignored]
    return [(name, b"(varies)" if name.lower() in varying else value) for name, value in kept]


def _additions(direct: Recorded, via: Recorded) -> Iterable[str]:
    """What must be there on arrival and is not, or is there more often than once."""
    names = [name for name, _ in via.headers]
    injected = next(fields for host, fields in INJECTED.items() if via.host.endswith(host))
    wanted = (b"X-Request-Id", *injected)
    once = (*ADDED, *CREDENTIALS)
    found = sorted(name for name in names if name.lower() in once)
    if found != sorted(wanted):
        yield f"expected {sorted(wanted)} once each, found {found}"
    yield from (f"hop-by-hop header passed: {name!r}" for name in names if name.lower() in HOP_BY_HOP)
    if via.values("host") != [via.host.encode()]:
        yield f"Host is {via.values('host')!r}"
    if via.values("content-length") not in ([], [str(len(via.body)).encode()]):
        yield f"Content-Length is {via.values('content-length')!r} for {len(via.body)} bytes"
    if via.chunked or (direct.chunked and not via.values("content-length")):
        yield "a chunked body must leave with its length"
