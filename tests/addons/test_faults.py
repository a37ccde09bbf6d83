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
from addons.wire.stream import UpstreamFault
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
    "large": (UpstreamFault("x", ErrorCode.REQUEST_TOO_LARGE), {}, 413, "32 MiB"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_went_wrong_is_told(case: str) -> None:
    fault, known, status, words = CASES[case]
    response, error = judged(fault, **known)
    assert response is not None
    assert response.status_code == status
    assert words in json.loads(response.content or b"")["error"]["message"]
    assert error.fault == ("caller" if status == 413 else "provider")


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
