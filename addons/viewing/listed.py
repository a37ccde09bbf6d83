"""The list of copies that a page shows; whoever looks at it is told what was added, changed and taken out."""

from __future__ import annotations

from collections.abc import Iterator

from mitmproxy import http
from mitmproxy.tools.web import app


class Listed:
    """In the place of mitmproxy's View, which keeps real flows, and ends those that it is told to remove."""

    def __init__(self) -> None:
        self._copies: dict[str, http.HTTPFlow] = {}

    def __iter__(self) -> Iterator[http.HTTPFlow]:
        return iter(tuple(self._copies.values()))

    def __len__(self) -> int:
        return len(self._copies)

    def get_by_id(self, number: str) -> http.HTTPFlow | None:
        """The copy of this id."""
        return self._copies.get(number)

    def put(self, copy: http.HTTPFlow) -> None:
        """Show a copy that is new, or has changed."""
        kind = "flows/update" if copy.id in self._copies else "flows/add"
        self._copies[copy.id] = copy
        if app.ClientConnection.connections:
            app.ClientConnection.broadcast_flow(kind, copy)  # type: ignore[arg-type]

    def take(self, number: str) -> None:
        """Show it no longer."""
        if self._copies.pop(number, None) is not None and app.ClientConnection.connections:
            app.ClientConnection.broadcast(type="flows/remove", payload=number)
