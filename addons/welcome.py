"""What somebody who is known finds at `/`: in a browser a page that says who they are and how to go on."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from html import escape

from mitmproxy import http

from addons import convert
from addons.exchange import Exchange, Exchanges
from addons.stage import stage
from llmauth.context import Authenticated, Identity
from llmauth.gateway import Gateway
from llmauth.http import Door, Headers, Request, Response

_READS = ("GET", "HEAD")
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:42rem;margin:3rem auto;padding:0 1rem}"
    "dt{color:#666;margin-top:.7rem}dd{margin:0}code,pre{background:#8882;padding:.1rem .3rem}"
    "pre{padding:.7rem;overflow:auto}@media(prefers-color-scheme:dark){body{background:#111;color:#ddd}dt{color:#aaa}}"
)
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
# Nothing is loaded, run, sent or framed: what a claim says is text here, and if it were not it could still do nothing.
_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_GUARDS = (
    (b"cache-control", b"no-store"),
    (b"vary", b"Accept"),
    (b"content-security-policy", _POLICY.encode()),
    (b"x-frame-options", b"DENY"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_LISTED = ("models", "instances", "protocols", "hosts", "methods")
_COUNTED = {"rpm": "requests a minute", "tpm": "tokens a minute", "concurrent": "requests at the same time"}


def is_asked(exchange: Exchange) -> bool:
    """Whether it is a look at our own front page."""
    request = exchange.request
    return exchange.door is Door.GATEWAY and request.method in _READS and request.url.route_path == "/"


class Welcome:
    """The front page, for those who were let in; nobody else learns that there is one."""

    name = "welcome"

    def __init__(self, gateway: Gateway, exchanges: Exchanges) -> None:
        self.gateway = gateway
        self.exchanges = exchanges

    @stage(Authenticated, only=is_asked)
    def requestheaders(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        assert isinstance(exchange.context, Authenticated)
        if exchange.promise is not None:
            return
        identity = exchange.context.identity
        allowance = exchange.plan.governor.allowance(identity)
        allowed = allowance.facts(counted=exchange.plan.settings.policies.limits)
        if _wants_page(exchange.request):
            convert.answer(flow, page(identity, allowed, _place(exchange, identity)))
        else:
            convert.answer(flow, _facts(identity, allowed))


def _place(exchange: Exchange, identity: Identity) -> str:
    """Where programs find this gateway: not by the name of a load balancer, which opens no tunnels."""
    request, server = exchange.request, exchange.plan.settings.server
    if identity.method != "alb":
        return f"{request.url.scheme}://{request.headers.get('host') or request.url.authority}"
    host = server.gateway_hosts[0] if server.gateway_hosts else "ADDRESS-FOR-PROGRAMS"
    secure = server.tls_cert_file is not None
    return f"https://{host}:{server.tls_port}" if secure else f"http://{host}:{server.port}"


def page(identity: Identity, allowed: Mapping[str, object], place: str) -> Response:
    """The page, with every value as text; `place` is where programs find this gateway, as `https://host:8443`."""
    told = [("You are", identity.user), ("Known by", identity.method)]
    told += [("Groups", ", ".join(identity.groups))] if identity.groups else []
    told += [(name.capitalize(), _list(allowed[name])) for name in _LISTED if allowed[name] is not None]
    told += [("Limit", f"{allowed[name]} {words}") for name, words in _COUNTED.items() if allowed[name] is not None]
    if isinstance(budget := allowed["budget"], Mapping):
        told.append(("Limit", f"{budget['amount']} of money a {budget['per']}"))
    facts = "".join(f"<dt>{_text(name)}</dt><dd>{_text(value)}</dd>" for name, value in told)
    place = _text(place)
    body = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>LLM Proxy Auth</title>'
        '<meta name="viewport" content="width=device-width">'
        f"<style>{_STYLE}</style></head><body><h1>LLM Proxy Auth</h1><dl>{facts}</dl>"
        "<h2>How to go on</h2><p>This page is for people. Programs show a credential of their own. In a terminal:</p>"
        f"<pre>llmauth join {place}\nllmauth run -- python app.py</pre>"
        "<p>The first trusts this gateway&#x27;s certificates and logs you in, the second runs a program with both. A "
        "key for a program that runs without you is made by whoever runs this gateway: "
        "<code>llmauth keys create</code>.</p>"
        "</body></html>"
    )
    return Response(status=200, headers=_headers("text/html; charset=utf-8"), body=body.encode())


def _facts(identity: Identity, allowed: Mapping[str, object]) -> Response:
    told = {"user": identity.user, "method": identity.method, "groups": list(identity.groups), "allowed": allowed}
    return Response(status=200, headers=_headers("application/json"), body=json.dumps(told).encode())


def _headers(kind: str) -> Headers:
    return Headers([(b"content-type", kind.encode()), *_GUARDS])


def _text(value: object) -> str:
    """As text of HTML, without signs that nobody sees: one that turns the direction could show another name."""
    return escape("".join(sign if sign.isprintable() else "�" for sign in str(value)))


def _list(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, Iterable) and not isinstance(value, str) else str(value)


def _wants_page(request: Request) -> bool:
    """A browser names HTML; programs say `*/*` or nothing."""
    return any("text/html" in value.lower() for value in request.headers.all("accept"))
