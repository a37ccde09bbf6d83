from __future__ import annotations

import json
from typing import Any

import pytest
from mitmproxy import flow as flows
from mitmproxy import http
from mitmproxy.proxy.layers.http._events import ErrorCode

from addons.exchange import Exchanges
from addons.faults import Faults
from addons.wire.dial import AddressRefused
from addons.wire.signals import Stopped
from addons.wire.stream import TOO_LONG, UpstreamFault
from llmauth.errors import BodyTooLarge
from tests.addons.exchanges import begun
from tests.addons.layers import flow


def judged(fault: flows.Error, **known: Any) -> tuple[http.Response | None, Any]:
    exchanges = Exchanges()
    one, its = begun(exchanges, **known)
    one.error = fault
    Faults(exchanges).error(one)
    return one.response, its.error


CASES: dict[str, tuple[UpstreamFault, dict[str, Any], int, str]] = {
    "refused": (UpstreamFault("Connect call failed", ErrorCode.CONNECT_FAILED), {}, 502, "cannot be reached"),
    "never connected": (UpstreamFault("x", ErrorCode.CONNECT_FAILED), {"timed_out": True}, 504, "connected to in time"),
    "never answered": (
        UpstreamFault("x", ErrorCode.GENERIC_SERVER_ERROR),
        {"timed_out": True, "sent_at": 1.0},
        504,
        "did not begin to answer in time",
    ),
    "certificate": (
        UpstreamFault("Certificate verify failed: certificate has expired", ErrorCode.CONNECT_FAILED),
        {},
        502,
        "could not be verified",
    ),
    "address": (
        UpstreamFault(str(AddressRefused("api.openai.com")), ErrorCode.CONNECT_FAILED),
        {},
        502,
        "leads to a private address",
    ),
    "broken": (UpstreamFault("x", ErrorCode.RESPONSE_VALIDATION_FAILED), {}, 502, "broke off before it answered"),
    "too long": (UpstreamFault(TOO_LONG, ErrorCode.GENERIC_SERVER_ERROR), {}, 502, "too long to be translated"),
    "silent": (
        UpstreamFault("x", ErrorCode.GENERIC_SERVER_ERROR),
        {"timed_out": True, "sent_at": 1.0, "first_byte_at": 2.0},
        504,
        "did not answer in time",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_went_wrong_is_told(case: str) -> None:
    fault, known, status, words = CASES[case]
    response, error = judged(fault, **known)
    assert response is not None
    assert response.status_code == status
    assert words in json.loads(response.content or b"")["error"]["message"]
    assert error.fault == "provider"


OTHERS: dict[str, tuple[UpstreamFault, dict[str, Any], int, str]] = {
    "address": (UpstreamFault(str(AddressRefused("evil.example")), ErrorCode.CONNECT_FAILED), {}, 403, "policy"),
    "refused": (UpstreamFault("Connect call failed", ErrorCode.CONNECT_FAILED), {}, 502, "provider"),
    "in time": (UpstreamFault("x", ErrorCode.CONNECT_FAILED), {"timed_out": True}, 504, "provider"),
    "broken": (UpstreamFault("x", ErrorCode.GENERIC_SERVER_ERROR), {}, 502, "provider"),
    "the proxy": (UpstreamFault("the upstream proxy p:1 broke off", ErrorCode.CONNECT_FAILED), {}, 502, "proxy"),
}


@pytest.mark.parametrize("case", OTHERS)
def test_a_host_that_is_no_provider_is_blamed_for_itself(case: str) -> None:
    """Its caller chose it: where it leads inside, that is a matter of policy."""
    fault, known, status, whose = OTHERS[case]
    response, error = judged(fault, handler=None, **known)
    assert response is not None
    assert (response.status_code, error.fault) == (status, whose)


def test_the_proxy_of_a_company_is_named_before_a_provider() -> None:
    fault = UpstreamFault("the upstream proxy proxy.corp:3128 opened no way to x:443 (502)", ErrorCode.CONNECT_FAILED)
    response, error = judged(fault)
    assert response is not None
    assert (response.status_code, error.code, error.fault) == (502, "upstream_proxy_failed", "proxy")
    assert error.message == "The upstream proxy proxy.corp:3128 opened no way to x:443 (502)."


def test_who_was_stopped_on_the_way_in_is_told_why() -> None:
    response, error = judged(Stopped(BodyTooLarge("It is too large.", close=True)))
    assert response is not None
    assert (response.status_code, response.headers["connection"]) == (413, "close")
    assert (error.code, error.fault) == ("request_too_large", "caller")


def test_what_a_provider_said_is_in_no_answer() -> None:
    """Its bytes may be anything; where they are in the fault's text, they stay out of ours."""
    response, error = judged(UpstreamFault("unexpected server response: b'sk-canary'", ErrorCode.GENERIC_SERVER_ERROR))
    assert response is not None
    assert b"canary" not in (response.content or b"")
    assert "canary" not in error.message + error.hint + error.detail


@pytest.mark.parametrize("error", [flows.Error("Client disconnected."), flows.Error(flows.Error.KILLED_MESSAGE)])
def test_other_errors_are_not_answered(error: flows.Error) -> None:
    assert judged(error) == (None, None)


def test_an_answer_that_is_there_is_left_alone() -> None:
    exchanges = Exchanges()
    one, _ = begun(exchanges, resp=True)
    one.error, before = UpstreamFault("x", ErrorCode.CONNECT_FAILED), one.response
    Faults(exchanges).error(one)
    assert one.response is before


def test_a_flow_that_nobody_knows_is_left_alone() -> None:
    one = flow()
    one.error = UpstreamFault("x", ErrorCode.CONNECT_FAILED)
    Faults(Exchanges()).error(one)
    assert one.response is None
