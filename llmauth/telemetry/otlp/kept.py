"""What of a request that is over waits to become a span: little, whatever its client sent."""

from __future__ import annotations

from dataclasses import replace

from llmauth.addresses import HostPort
from llmauth.context import Authenticated, Carried, Identity, RequestContext, Routed, complete
from llmauth.errors import GatewayError
from llmauth.http import Headers, Request, Url
from llmauth.telemetry.access import Outcome

# Longer than any method that is told by its name, and than the path of any probe.
_LONGEST_METHOD = 20
_LONGEST_PATH = 64
# What is asked for is told by how the provider's path ends.
_LONGEST_END = 128
# Longer than what a span tells of a model or of a provider's id, so what is cut is not told.
_LONGEST_NAME = 200
_LONGEST_PARENT = 256
_PARENT = b"traceparent"
_NOBODY = Identity(user="", method="")
_NOWHERE = HostPort("", 0)


def kept(outcome: Outcome) -> Outcome:
    """The outcome that has the same span. Heads of tens of kilobytes, of strangers as well, are not kept for it.

    An error holds on to the frames that it came through, and by these to all of its request.
    """
    error, ours = outcome.error, outcome.provider_request_id
    return replace(
        outcome,
        context=_context(outcome.context),
        request=_request(outcome.request),
        error=None if error is None else _error(error),
        decisions=(),
        provider_request_id=None if ours is None else ours[:_LONGEST_NAME],
    )


def _request(request: Request) -> Request:
    # Two are as good as many: only a single one is a parent.
    parents = request.headers.index().get(_PARENT, ())[:2]
    return Request(
        method=request.method[:_LONGEST_METHOD],
        url=Url("", "", 0, request.url.path[:_LONGEST_PATH]),
        headers=Headers([(_PARENT, value[:_LONGEST_PARENT]) for value in parents]),
        door=request.door,
    )


def _context(context: RequestContext) -> RequestContext:
    """Of the same stage: a span tells it."""
    held = {**context.__dict__, "request_id": context.request_id[:_LONGEST_NAME], "decisions": ()}
    if isinstance(context, Authenticated):
        held["identity"] = _NOBODY
    if isinstance(context, Carried):
        held["destination"] = _NOWHERE
    if isinstance(context, Routed):
        route, target = context.route, context.target
        if len(route.path) > _LONGEST_END:
            held["route"] = replace(route, path=route.path.partition("?")[0][-_LONGEST_END:])
        if target.model is not None and len(target.model) > _LONGEST_NAME:
            held["target"] = replace(target, model=target.model[:_LONGEST_NAME])
    return complete(type(context), **held)


def _error(error: GatewayError) -> GatewayError:
    told = GatewayError("", code=error.code)
    told.fault = error.fault
    return told
