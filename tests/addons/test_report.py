from __future__ import annotations

import asyncio
import logging
from types import SimpleNamespace
from typing import Any, cast

import pytest
from mitmproxy import flow as flows
from mitmproxy import http

from addons.exchange import Exchanges
from addons.report import Report
from llmauth.chat.messages import Usage
from llmauth.errors import UpstreamTimeout
from llmauth.gateway import Gateway
from llmauth.governance.estimates import Guess
from llmauth.governance.governor import Governor
from llmauth.governance.memory import MemoryLimiter
from llmauth.governance.policy import Policies
from llmauth.governance.prices import Prices
from llmauth.telemetry.metrics import Metrics
from llmauth.translation import StreamTranslator
from llmauth.usage.meter import Meter, Reading, Reason
from tests.addons.exchanges import begun
from tests.addons.layers import client
from tests.addons.test_settling import admitted


@pytest.fixture
def exchanges() -> Exchanges:
    return Exchanges()


@pytest.fixture
def report(exchanges: Exchanges) -> Report:
    governor = Governor(Policies(), Prices(), MemoryLimiter())
    return Report(cast(Gateway, SimpleNamespace(metrics=Metrics(models=()), governor=governor)), exchanges)


def answered(exchanges: Exchanges, *fields: tuple[bytes, bytes], status: int = 200, **more: Any) -> http.HTTPFlow:
    """A flow with the head of the provider's answer, or of our own when it was not sent."""
    one, _ = begun(exchanges, resp=True, **{"sent_at": 1.0, **more})
    assert one.response
    one.response.status_code = status
    one.response.headers = http.Headers(fields)
    return one


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    told = [record for record in caplog.records if record.message == "request"]
    return [facts for record in told for facts in record.__dict__["batch"]]


LENGTH = b"content-length"
TYPE = b"content-type"


@pytest.mark.parametrize(
    ("fields", "streams"),
    [
        ([(LENGTH, b"100"), (TYPE, b"application/json")], False),
        ([(LENGTH, b"16384")], False),
        ([(LENGTH, b"16385")], True),
        ([(LENGTH, b"100"), (TYPE, b"text/event-stream; charset=utf-8")], True),
        ([(LENGTH, b"100"), (TYPE, b"application/vnd.amazon.eventstream")], True),
        ([(b"transfer-encoding", b"chunked"), (TYPE, b"application/json")], True),
        ([], True),
    ],
)
def test_short_answers_are_held_back_and_others_pass(
    report: Report, exchanges: Exchanges, fields: list[tuple[bytes, bytes]], streams: bool
) -> None:
    one = answered(exchanges, *fields)
    report.responseheaders(one)
    assert one.response is not None
    assert one.response.stream is streams


@pytest.mark.parametrize(
    ("fields", "streams"),
    [([(LENGTH, b"65536")], False), ([(LENGTH, b"65537")], True), ([], False), ([(TYPE, b"text/event-stream")], False)],
)
def test_an_answer_that_is_looked_at_first_is_held_back_unless_it_is_long(
    report: Report, exchanges: Exchanges, fields: list[tuple[bytes, bytes]], streams: bool
) -> None:
    one = answered(exchanges, *fields)
    exchanges.of(one).untold = True
    report.responseheaders(one)
    assert one.response is not None
    assert one.response.stream is streams


def test_what_is_of_one_hop_goes_and_the_rest_stays_as_it_is(report: Report, exchanges: Exchanges) -> None:
    kept = [(b"X-Odd-Case", b"1"), (b"set-cookie", b"a"), (b"Set-Cookie", b"b"), (b"x-request-id", b"req_provider")]
    one = answered(exchanges, (b"Keep-Alive", b"timeout=5"), *kept, (b"Proxy-Authenticate", b"Basic"))
    report.responseheaders(one)
    assert one.response.headers.fields == tuple(kept)


def test_a_request_id_is_told_once(report: Report, exchanges: Exchanges) -> None:
    one = answered(exchanges, (LENGTH, b"0"))
    report.responseheaders(one)
    assert one.response.headers.get_all("x-request-id") == ["id-1"]


@pytest.mark.parametrize("status", [-1, 0, 99, 101, 199, 600, 999])
def test_a_status_that_is_none_is_a_fault(report: Report, exchanges: Exchanges, status: int) -> None:
    one = answered(exchanges, (LENGTH, b"0"), status=status)
    report.responseheaders(one)
    assert one.response.status_code == 502


def test_a_draining_gateway_ends_its_connections(report: Report, exchanges: Exchanges) -> None:
    one = answered(exchanges, (LENGTH, b"0"))
    exchanges.draining = True
    report.responseheaders(one)
    assert one.response.headers["connection"] == "close"


async def test_every_request_is_one_line(
    report: Report, exchanges: Exchanges, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "llmauth.access")
    one = answered(exchanges, (LENGTH, b"0"))
    report.responseheaders(one)
    report.response(one)
    report.error(one)
    report.tell()
    (line,) = lines(caplog)
    assert (line["request_id"], line["status"], line["stage"]) == ("id-1", 200, "RequestContext")
    assert one not in exchanges.open


async def test_lines_come_late_but_come(report: Report, exchanges: Exchanges, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "llmauth.access")
    report.response(answered(exchanges))
    assert lines(caplog) == []
    await asyncio.sleep(0.05)
    assert len(lines(caplog)) == 1


async def test_many_lines_do_not_wait(report: Report, exchanges: Exchanges, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "llmauth.access")
    for _ in range(64):
        report.response(answered(exchanges))
    assert len(lines(caplog)) == 64


async def test_what_is_untold_is_told_at_the_end(
    report: Report, exchanges: Exchanges, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "llmauth.access")
    report.response(answered(exchanges))
    report.done()
    assert len(lines(caplog)) == 1


async def test_a_cut_stream_is_told_as_one(
    report: Report, exchanges: Exchanges, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "llmauth.access")
    one = answered(exchanges)
    report.responseheaders(one)
    one.error = flows.Error("peer closed")
    report.error(one)
    report.tell()
    assert lines(caplog)[0]["cut"] is True


async def test_what_failed_before_its_answer_began_was_not_cut(
    report: Report, exchanges: Exchanges, caplog: pytest.LogCaptureFixture
) -> None:
    """A body that grows over the limit fails first, and then has its refusal; both before anything is told."""
    caplog.set_level(logging.INFO, "llmauth.access")
    one = answered(exchanges, status=413)
    one.error = flows.Error("too large")
    report.error(one)
    report.responseheaders(one)
    report.tell()
    (line,) = lines(caplog)
    assert line["status"] == 413
    assert "cut" not in line


@pytest.mark.parametrize("hook", ["response", "error", "stopped", "socket_closed", "http_connect_error"])
async def test_m1_an_admission_ends_by_whatever_hook_comes(report: Report, exchanges: Exchanges, hook: str) -> None:
    limiter = MemoryLimiter()
    one, its = begun(exchanges, admission=admitted(limiter, Guess(10, 10), concurrent=1, tpm=100).admission)
    assert limiter.running() != {}
    getattr(report, hook)(one)
    getattr(report, hook)(one)
    assert limiter.running() == {}
    assert not its.admission.open


async def test_m1_an_admission_ends_also_where_its_meter_fails(report: Report, exchanges: Exchanges) -> None:
    limiter = MemoryLimiter()
    one, its = begun(exchanges, sent_at=1.0, admission=admitted(limiter, Guess(10, 10), concurrent=1).admission)
    its.meter = cast(Meter, object())
    with pytest.raises(AttributeError):
        report.error(one)
    assert limiter.running() == {}


async def test_h8_of_a_compressed_answer_what_it_decodes_to_has_passed(report: Report, exchanges: Exchanges) -> None:
    one = answered(exchanges, meter=SimpleNamespace(reading=lambda cut: Reading(None, Reason.NOT_TOLD, 5000)))
    its = exchanges.of(one)
    its.passed = 100
    report.response(one)
    report.tell()
    assert its.passed == 5000


async def test_h10_a_translated_stream_that_no_hook_remembered_tells_all_the_same(
    report: Report, exchanges: Exchanges
) -> None:
    stream = object.__new__(StreamTranslator)
    stream.usage = Usage(input=3, output=4)
    one = answered(exchanges, prepared=object(), stream=stream)
    told: list[Any] = []
    report._also = (told.extend,)
    report.stopped(one)
    report.tell()
    assert told[0].usage == Usage(input=3, output=4)


async def test_a_client_that_left_before_any_answer_is_499(
    report: Report, exchanges: Exchanges, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "llmauth.access")
    one, _ = begun(exchanges)
    one.error = flows.Error("Client disconnected.")
    report.error(one)
    report.tell()
    assert lines(caplog)[0]["status"] == 499


@pytest.mark.parametrize("usage", [Usage(output=2**40 + 1), Usage(input=10**400), Usage(reasoning=2**41)])
async def test_a_number_that_no_model_reaches_is_counted_nowhere(
    report: Report, exchanges: Exchanges, caplog: pytest.LogCaptureFixture, usage: Usage
) -> None:
    """A counter keeps for ever what it was told once, and one that no float holds would end every scrape."""
    caplog.set_level(logging.INFO, "llmauth.access")
    one = answered(exchanges, prepared=object(), usage=usage)
    report.response(one)
    report.tell()
    (line,) = lines(caplog)
    assert line["unmetered"] == "broken"
    assert "output_tokens" not in line


async def test_a_refusal_is_told_with_its_reason(
    report: Report, exchanges: Exchanges, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "llmauth.access")
    one = answered(exchanges, status=504, error=UpstreamTimeout("late", detail="very late"))
    report.response(one)
    report.tell()
    (line,) = lines(caplog)
    assert (line["code"], line["fault"], line["detail"]) == ("provider_timeout", "provider", "very late")


def test_clients_are_counted(report: Report) -> None:
    metrics = report.gateway.metrics
    report.client_connected(client())
    report.client_connected(client())
    report.client_disconnected(client())
    assert b"connected_clients 1.0" in metrics.render()[0]


def test_the_moment_of_sending_is_remembered(report: Report, exchanges: Exchanges) -> None:
    one, its = begun(exchanges)
    report.server_ready(one)
    assert its.sent_at is not None


async def test_a_tunnel_that_opened_is_no_running_request(report: Report, exchanges: Exchanges) -> None:
    opened, _ = begun(exchanges)
    refused, _ = begun(exchanges)
    report.http_connected(opened)
    report.http_connect_error(refused)
    assert len(exchanges.open) == 0
