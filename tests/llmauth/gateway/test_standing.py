"""How a gateway stands, on its gauges."""

from __future__ import annotations

from llmauth.clock import ManualClock
from llmauth.credentials.status import InstanceStatus, StrategyStatus
from llmauth.gateway.recording import Recording
from llmauth.gateway.standing import show
from llmauth.governance.memory import MemoryLimiter
from llmauth.telemetry.metrics import Metrics


def shown(keys: str = "ok", **instances: InstanceStatus) -> str:
    clock = ManualClock()
    metrics = Metrics(clock=clock)
    show(
        metrics,
        ready=True,
        keys=keys,
        instances=instances,
        recording=Recording(None),
        limiter=MemoryLimiter(clock),
        authority_ends=clock.wall() + 100,
    )
    return metrics.render()[0].decode()


def test_every_check_is_told() -> None:
    text = shown()
    for check in ("live", "ready", "keys", "audit", "limits"):
        assert f'health_check_status{{check="{check}"}} 1.0' in text
    assert "ca_expiry_seconds 100.0" in text
    assert "audit_records_waiting 0.0" in text


def test_keys_that_are_only_remembered_are_told() -> None:
    assert 'health_check_status{check="keys"} 0.0' in shown(keys="last_known")


def test_instances_by_their_credential() -> None:
    first, second = StrategyStatus(label="a", active=False, reason="gone"), StrategyStatus(label="b", active=True)
    text = shown(
        one=InstanceStatus(state="ready", strategy="b", strategies=(first, second), degraded=True),
        other=InstanceStatus(state="failed"),
    )
    for line in (
        'credential_ready{instance="one"} 1.0',
        'credential_ready{instance="other"} 0.0',
        'credential_strategy_active{instance="one",strategy="b"} 1.0',
        'credential_degraded{instance="one"} 1.0',
        'credential_standby_active{instance="one"} 0.0',
        'credential_degraded{instance="other"} 0.0',
    ):
        assert line in text
