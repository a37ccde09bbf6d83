"""R5: what the addon of the audit record asks for, and what it does where it gets nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from addons.audit import Audit
from addons.exchange import Exchanges
from llmauth.audit.writer import AuditLog
from llmauth.authenticators.base import wrong
from llmauth.context import Authenticated, Identity, advance
from llmauth.errors import UnknownInstance
from tests.addons import flows
from tests.addons.exchanges import begun
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
