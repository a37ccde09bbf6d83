"""Cuts out what else a provider would take for a credential, so that the one we put on is the only one."""

from __future__ import annotations

from llmauth.authenticators.presented import parameter
from llmauth.http import Request


def without(request: Request, *, headers: frozenset[bytes], parameters: frozenset[str]) -> Request:
    """The request without these headers (lower-case names) and these query parameters (lower-case, decoded names).

    What is left of the query keeps every byte. Names are compared in lower case, since a name that a provider spells
    otherwise is no parameter of its own, and a credential that stays is worse than one that is cut for nothing.
    """
    bare = request.altered(headers=request.headers.without(headers))
    path = request.url.path
    cut = _cut(path, parameters) if "?" in path else path
    return bare if cut == path else bare.altered(url=request.url._replace(path=cut))


def _cut(path: str, names: frozenset[str]) -> str:
    route, _, query = path.partition("?")
    pairs = query.split("&")
    kept = [pair for pair in pairs if parameter(pair)[0].lower() not in names]
    if len(kept) == len(pairs):
        return path
    return f"{route}?{'&'.join(kept)}" if kept else route
