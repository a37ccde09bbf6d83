"""What the hooks of one flow leave for its copy, as it stood there and then; it is masked before it is shown."""

from __future__ import annotations

from dataclasses import dataclass

from mitmproxy import http

from addons.exchange import Exchange
from addons.viewing.bodies import KEPT
from addons.viewing.onlooker import Onlooker
from llmauth.http import Field
from llmauth.telemetry.access import Outcome


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SeenRequest:
    """A request as it stood in a hook; `body` is the beginning of one of `total` bytes."""

    method: str
    scheme: str
    host: str
    port: int
    path: str
    http_version: str
    fields: tuple[Field, ...]
    body: bytes
    total: int
    signed: bool


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SeenAnswer:
    """An answer as it stood in a hook; `total` is None while its body comes piece by piece."""

    status: int
    reason: str
    http_version: str
    fields: tuple[Field, ...]
    body: bytes
    total: int | None


@dataclass(slots=True, eq=False, repr=False)
class Seen:
    """One flow and its masked copy. Of the flow itself nothing is kept once its end was drawn."""

    flow: http.HTTPFlow | None
    exchange: Exchange | None
    copy: http.HTTPFlow
    request: SeenRequest | None = None
    answer: SeenAnswer | None = None
    onlooker: Onlooker | None = None
    outcome: Outcome | None = None
    ended_at: float | None = None
    again_at: float = 0.0  # monotonic; it rests until then, since to draw it takes long
    changes: tuple[tuple[str, str], ...] = ()  # of header names: what became of each
    size: int = 0

    def note_request(self, flow: http.HTTPFlow, *, signed: bool) -> None:
        """Look at the request. Its body is looked at once more when it is signed, for that is what is sent."""
        data = flow.request.data
        body = data.content or b""
        self.request = SeenRequest(
            method=data.method.decode("ascii", "replace"),
            scheme=data.scheme.decode("ascii", "replace"),
            host=data.host,
            port=data.port,
            path=data.path.decode("utf-8", "surrogateescape"),
            http_version=data.http_version.decode("ascii", "replace"),
            fields=data.headers.fields,
            body=body[:KEPT],
            total=len(body),
            signed=signed,
        )

    def note_answer(self, response: http.Response, *, whole: bool) -> None:
        """Look at the answer; `whole` when its body is all that there will be."""
        data = response.data
        body = (data.content or b"") if whole and not response.stream else b""
        self.answer = SeenAnswer(
            status=data.status_code,
            reason=data.reason.decode("utf-8", "replace"),
            http_version=data.http_version.decode("ascii", "replace"),
            fields=data.headers.fields,
            body=body[:KEPT],
            total=len(body) if whole and not response.stream else None,
        )

    def weigh(self) -> int:
        """About how many bytes are kept for it."""
        waiting = len(self.request.body) if self.request is not None else 0
        waiting += len(self.answer.body) if self.answer is not None else 0
        waiting += len(self.onlooker) if self.onlooker is not None else 0
        messages = (self.copy.request, self.copy.response)
        kept = sum(_weight(message) for message in messages if message is not None)
        return _NOTES + waiting + kept


_NOTES = 4 * 1024


def _weight(message: http.Message) -> int:
    fields = message.headers.fields
    return len(message.raw_content or b"") + sum(len(name) + len(value) for name, value in fields)
