"""The answer's head is looked through once it is the provider's, and only then."""

from __future__ import annotations

import pytest

from addons.exchange import Exchanges
from addons.reflections import Reflections
from tests.addons import flows
from tests.addons.exchanges import exchange

KEY = b"sk-a1b2c3d4e5f6"


def looked_through(exchanges: Exchanges, *, sent: bool = True, known: bool = True) -> tuple[bytes, bytes]:
    """Reason and one field of an answer that repeats the key, after the hook."""
    flow = flows.made(b"GET", b"/", ((b"x-api-key", KEY),), host="api.anthropic.com", port=443)
    if known:
        exchanges.begin(flow, exchange(sent_at=1.0 if sent else None, secrets=(KEY,)))
    flows.answered(flow, 200, (b"X-Echo", KEY))
    assert flow.response
    flow.response.data.reason = b"is " + KEY
    Reflections(exchanges).responseheaders(flow)
    return flow.response.data.reason, flow.response.data.headers.fields[0][1]


def test_a_provider_s_head_is_masked_and_that_is_told(exchanges: Exchanges, caplog: pytest.LogCaptureFixture) -> None:
    assert looked_through(exchanges) == (b"is [redacted]", b"[redacted]")
    assert "repeated our credential" in caplog.text
    assert KEY.decode() not in caplog.text


@pytest.mark.parametrize("more", [{"sent": False}, {"known": False}])
def test_an_answer_of_ours_is_left_alone(exchanges: Exchanges, more: dict[str, bool]) -> None:
    assert looked_through(exchanges, **more) == (b"is " + KEY, KEY)
