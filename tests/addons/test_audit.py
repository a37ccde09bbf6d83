"""R5: what the addon of the audit record asks for, and what it does where it gets nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from addons.audit import Audit
from addons.exchange import Exchanges
from llmauth.audit.writer import AuditLog
from llmauth.authenticators.base import wrong
from llmauth.context import Authenticated, Credentialed, Identity, Routed, Target, TransparentRoute, advance
from llmauth.errors import Unavailable, UnknownInstance
from llmauth.telemetry.access import Outcome
from tests.addons import flows
from tests.addons.exchanges import begun, exchange
from tests.fixtures.audits import lines_in, running

ALICE = Identity(user="alice", method="api_key", key_id="0123456789", groups=("staff",))


@pytest.fixture
def log(tmp_path: Path) -> Iterator[AuditLog]:
    with running(tmp_path / "home") as log:
        yield log


@pytest.fixture
def audit(log: AuditLog, exchanges: Exchanges) -> Audit:
    return Audit(log, exchanges)


async def test_a_refusal_is_recorded_when_it_is_answered(audit: Audit, exchanges: Exchanges, tmp_path: Path) -> None:
    flow, _ = begun(exchanges, resp=True, error=UnknownInstance("No such instance."))
    flows.answered(flow, 404)
    rest = audit.responseheaders(flow)
    if rest is not None:
        await rest
    (told,) = [line for line in lines_in(tmp_path / "home") if line["kind"] == "request"]
    assert (told["decision"], told["code"], told["status"], told["reason"]) == (
        "deny",
        UnknownInstance.code,
        404,
        "No such instance.",
    )


async def test_what_we_answer_ourselves_to_somebody_known_is_allowed(
    audit: Audit, exchanges: Exchanges, tmp_path: Path
) -> None:
    flow, exchange = begun(exchanges, resp=True)
    exchange.context = advance(exchange.context, Authenticated, identity=ALICE)
    rest = audit.responseheaders(flow)
    if rest is not None:
        await rest
    (told,) = [line for line in lines_in(tmp_path / "home") if line["kind"] == "request"]
    assert (told["decision"], told["user"], told["groups"], told["status"]) == ("allow", "alice", ["staff"], 200)


async def test_an_open_endpoint_is_nobodys_decision(audit: Audit, exchanges: Exchanges, tmp_path: Path) -> None:
    flow, _ = begun(exchanges, resp=True)
    assert audit.responseheaders(flow) is None
    assert [line["kind"] for line in lines_in(tmp_path / "home")] == ["start"]


async def test_a_client_that_left_was_refused_all_the_same(
    audit: Audit, exchanges: Exchanges, log: AuditLog, tmp_path: Path
) -> None:
    flow, exchange = begun(exchanges, error=wrong("unknown_key"))
    audit.error(flow)
    assert exchange.ticket is not None
    await exchange.ticket.wait()
    audit.error(flow)
    assert [line["code"] for line in lines_in(tmp_path / "home") if line["kind"] == "request"] == [exchange.error.code]


async def test_f1_where_it_does_not_write_an_answer_is_replaced_and_a_refusal_stays(
    audit: Audit, exchanges: Exchanges, log: AuditLog
) -> None:
    log.stop()
    flow, exchange = begun(exchanges, resp=True)
    exchange.context = advance(exchange.context, Authenticated, identity=ALICE)
    audit.responseheaders(flow)
    assert (flow.response.status_code, flow.response.headers["retry-after"]) == (503, "5")
    flow, _ = begun(exchanges, resp=True, error=UnknownInstance("No such instance."))
    flows.answered(flow, 404)
    audit.responseheaders(flow)
    assert flow.response.status_code == 404
    audit.tell([])


def ended_well() -> Outcome:
    made = exchange()
    target = Target(instance="openai", provider="openai", model="gpt-4o")
    route = TransparentRoute(instance="openai", path="/v1/chat/completions", native=False)
    context = advance(advance(made.context, Authenticated, identity=ALICE), Routed, route=route, target=target)
    return Outcome(
        context=advance(context, Credentialed, strategy="environment", expires_at=None),
        request=made.request,
        status=200,
        finished=made.context.started + 1.0,
        overhead=None,
        dial=None,
        first_byte_at=None,
        error=None,
        decisions=(),
        cut=False,
        provider_request_id=None,
    )


class Forgetful:
    """Cannot write the first of each two records."""

    def __init__(self) -> None:
        self.asked = 0
        self.noted: list[object] = []

    def note_later(self, record: object) -> None:
        self.asked += 1
        if self.asked % 2:
            raise Unavailable("full")
        self.noted.append(record)


def test_one_end_that_cannot_be_recorded_takes_no_other_with_it(
    exchanges: Exchanges, caplog: pytest.LogCaptureFixture
) -> None:
    log = Forgetful()
    Audit(cast(AuditLog, log), exchanges).tell([ended_well() for _ in range(4)])
    assert len(log.noted) == 2
    (line,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert line.__dict__["lost"] == 2
