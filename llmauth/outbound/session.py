"""The same calls for vendors' libraries: a session of `requests` whose every request goes our way."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from llmauth.http import Headers
from llmauth.outbound import Outbound
from llmauth.sources import SourceFailed

if TYPE_CHECKING:
    from requests import PreparedRequest, Response, Session

# Put in by us: what a library says about them holds for its own connections.
_OURS = frozenset({b"host", b"content-length", b"connection", b"accept-encoding", b"transfer-encoding"})
# A list of keys, or a certificate chain, is longer than a token.
_MOST = 1024 * 1024


def session_over(outbound: Outbound) -> Session:
    """A session without environment, redirects, cookies and retries; each call ends within the outbound's own limit.

    Its `ConnectionError` carries the reason of ours, which repeats nothing of what was sent or received.
    """
    # In the thread of a load: it takes a tenth of a second.
    import requests
    from requests.adapters import BaseAdapter
    from requests.exceptions import ConnectionError as Unreached

    class Adapter(BaseAdapter):
        """Sends what a library prepared, and gives back what requests would have read."""

        def send(self, request: PreparedRequest, *_: Any, **__: Any) -> Response:
            try:
                return _sent(outbound, request)
            except SourceFailed as failure:
                raise Unreached(failure.reason, request=request) from None

        def close(self) -> None:
            """Nothing is kept open."""

    session = requests.Session()
    # Else HTTPS_PROXY, ~/.netrc and REQUESTS_CA_BUNDLE would decide who is asked, as whom, and who is believed.
    session.trust_env = False
    # A redirect is an answer: where it leads was chosen by nobody here.
    session.get_redirect_target = lambda resp: None  # type: ignore[method-assign]
    for scheme in ("https://", "http://"):
        session.mount(scheme, Adapter())
    return session


def _sent(outbound: Outbound, request: PreparedRequest) -> Response:
    from requests import Response

    body = request.body or b""
    if not isinstance(body, str | bytes):
        raise SourceFailed("a library would have sent a stream")
    said = {name: str(value) for name, value in request.headers.items() if name.lower().encode() not in _OURS}
    content = body.encode() if isinstance(body, str) else body
    answered = outbound.ask(request.method or "GET", request.url or "", said, content, most=_MOST)
    response = Response()
    response.status_code = answered.status
    response.headers.update(_text(answered.headers))
    response.raw = io.BytesIO(answered.body)
    response._content = answered.body
    response.url = request.url or ""
    response.request = request
    response.encoding = "utf-8"
    return response


def _text(headers: Headers) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in headers.fields}
