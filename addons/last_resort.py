"""The last-resort answer: what is sent when a request cannot even be read, or the chain itself failed."""

from __future__ import annotations

import json
from uuid import uuid4

from mitmproxy import http
from mitmproxy.net.http import http1

# A fixed sentence for each status: these answers are made where nothing is known of the client, and must echo nothing.
_SENTENCES = {
    400: "The request could not be read as HTTP/1.1.",
    408: "The request did not come to its end in time.",
    413: "The request body is over the limit.",
    431: "The request head is over the limit.",
    500: "The gateway failed while it judged this request, and stopped it.",
    502: "The provider gave an answer that could not be read.",
    504: "The provider did not answer in time.",
}
_CALLER = range(400, 500)


def last_resort(status: int, request_id: str | None = None) -> http.Response:
    """A refusal in OpenAI's shape (the shape most clients read), after which the connection closes."""
    request_id = request_id or f"req_{uuid4().hex}"
    kind = "invalid_request_error" if status in _CALLER else "server_error"
    message = _SENTENCES.get(status, "The request was refused.")
    error = {
        "message": message,
        "type": kind,
        "param": None,
        "code": "bad_request" if status in _CALLER else "internal_error",
    }
    body = json.dumps({"error": {**error, "request_id": request_id}}).encode()
    fault = b"caller" if status in _CALLER else b"proxy" if status == 500 else b"provider"
    return http.Response(
        http_version=b"HTTP/1.1",
        status_code=status,
        reason=http.status_codes.RESPONSES.get(status, "").encode(),
        headers=http.Headers(
            [
                (b"content-type", b"application/json"),
                (b"content-length", str(len(body)).encode()),
                (b"x-llmauth-fault", fault),
                (b"x-request-id", request_id.encode()),
                (b"connection", b"close"),
            ]
        ),
        content=body,
        trailers=None,
        timestamp_start=0.0,
        timestamp_end=0.0,
    )


def error_page(status_code: int, message: str = "") -> bytes:
    """In the place of mitmproxy's HTML page, which names mitmproxy and repeats what the client sent."""
    page: bytes = http1.assemble_response(last_resort(status_code))
    return page
