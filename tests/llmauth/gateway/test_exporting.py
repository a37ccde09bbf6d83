"""How a collector is reached: in clear text within this machine's own network, else by TLS, and with its headers."""

from __future__ import annotations

from typing import Any

import pytest

from llmauth.config.telemetry import Otlp
from llmauth.gateway.exporting import _send, exporter_of
from llmauth.outbound import Outbound, Trust
from llmauth.telemetry.metrics import Metrics
from tests.fixtures.collector import collector
from tests.fixtures.serving import free_port

REACH = Outbound(trust=Trust(private=True, plain=True), time_limit=2.0)


def options(endpoint: str, **more: Any) -> Otlp:
    return Otlp.model_validate({"endpoint": endpoint, **more})


def test_without_a_collector_there_is_no_exporter() -> None:
    assert exporter_of(None, Outbound(), Metrics()) is None


def test_a_post_bears_its_headers() -> None:
    with collector() as one:
        asked = options(one.endpoint + "/prefix/", headers={"Authorization": "Bearer of-the-collector"})
        assert _send(REACH, asked, "traces", b"{}") is None
        ((path, fields, body),) = one.told
    assert (path, body) == ("/prefix/v1/traces", b"{}")
    assert (fields["authorization"], fields["content-type"]) == ("Bearer of-the-collector", "application/json")


def test_a_refusal_is_told_by_its_status() -> None:
    with collector() as one:
        one.status = 401
        assert _send(REACH, options(one.endpoint), "metrics", b"{}") == "it answers 401"


@pytest.mark.parametrize("address", ["8.8.8.8", "[2606:4700::1111]"])
def test_nothing_leaves_in_clear_text_for_the_outside(address: str) -> None:
    why = _send(REACH, options(f"http://{address}:4318", headers={"X-Key": "canary"}), "traces", b"{}")
    assert why is not None
    assert "clear text" in why
    assert "canary" not in why


def test_one_that_is_not_there_is_told_in_words() -> None:
    why = _send(REACH, options(f"http://127.0.0.1:{free_port()}"), "traces", b"{}")
    assert why == "127.0.0.1 cannot be asked: ConnectionRefusedError"
