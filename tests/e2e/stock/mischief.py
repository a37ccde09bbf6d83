"""A script of an operator's own beside the chain, which spoils what a request's `X-Mischief` asks for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mitmproxy import ctx, http  # noqa: TID251  (a script of mitmproxy's)

ASKED = "x-mischief"


def asked(data: Any) -> str:
    """What a flow asks for, nothing where there is no flow."""
    return data.request.headers.get(ASKED, "") if isinstance(data, http.HTTPFlow) else ""


def failing(place: str, hook: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The hook of an addon, which raises when it is named."""

    def spoiled(data: Any) -> Any:
        if asked(data) == place:
            raise ZeroDivisionError("spoiled")
        return hook(data)

    return spoiled


class Late:
    """Stands behind the gate, where no addon belongs."""

    name = "late"

    def request(self, flow: http.HTTPFlow) -> None:
        what, _, value = asked(flow).partition(" ")
        if what == "host":
            flow.request.host = value
        elif what == "port":
            flow.request.port = int(value)
        elif what == "scheme":
            flow.request.scheme = value
        elif what == "unanswer":
            flow.response = None

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        if asked(flow) == "unanswer at the head":
            flow.response = None
            flow.error = None


class Early:
    """Where other scripts stand: before the chain."""

    name = "early"

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        if asked(flow) == "raise":
            raise ZeroDivisionError("early")
        if asked(flow) == "early host":
            flow.request.host = "evil.example"

    def running(self) -> None:
        for addon in list(ctx.master.addons.chain):
            for hook in ("requestheaders", "request", "server_ready", "responseheaders"):
                original = getattr(addon, hook, None)
                if callable(original) and hasattr(addon, "name"):
                    setattr(addon, hook, failing(f"{addon.name}.{hook}", original))
        ctx.master.addons.chain.append(Late())


addons = [Early()]
