"""The answer that is left when nothing else can be said: whole, closing, and without an echo."""

from __future__ import annotations

import json

import pytest

from addons.last_resort import error_page, last_resort


@pytest.mark.parametrize(
    ("status", "fault", "kind"),
    [
        (400, "caller", "invalid_request_error"),
        (413, "caller", "invalid_request_error"),
        (431, "caller", "invalid_request_error"),
        (500, "proxy", "server_error"),
        (502, "provider", "server_error"),
        (504, "provider", "server_error"),
    ],
)
def test_it_says_whose_fault_it_was_and_ends_the_connection(status: int, fault: str, kind: str) -> None:
    response = last_resort(status)
    error = json.loads(response.raw_content or b"")["error"]
    assert response.status_code == status
    assert response.headers["x-llmauth-fault"] == fault
    assert response.headers["connection"] == "close"
    assert response.headers["content-length"] == str(len(response.raw_content or b""))
    assert error["type"] == kind
    assert error["message"].endswith(".")
    assert error["request_id"] == response.headers["x-request-id"]


def test_a_known_request_keeps_its_id() -> None:
    assert last_resort(500, "req_mine").headers["x-request-id"] == "req_mine"
    assert last_resort(500).headers["x-request-id"] != last_resort(500).headers["x-request-id"]


def test_a_status_without_a_sentence_of_its_own_still_has_one() -> None:
    assert json.loads(last_resort(418).raw_content or b"")["error"]["message"] == "The request was refused."


def test_the_page_repeats_nothing_that_mitmproxy_wanted_to_say() -> None:
    page = error_page(400, "Bad HTTP request line: b'GET /?key=llmauth_secret'")
    head, _, body = page.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert json.loads(body)["error"]["code"] == "bad_request"
    for word in (b"secret", b"mitmproxy", b"<html"):
        assert word not in page
