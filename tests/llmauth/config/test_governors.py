"""The governor of a configuration."""

from pathlib import Path

import pytest

from llmauth.config.governors import open_governor
from llmauth.config.settings import read_settings
from llmauth.context import Identity
from llmauth.errors import RateLimited
from llmauth.governance.memory import MemoryLimiter
from llmauth.governance.shared import SharedLimiter


@pytest.fixture
def settings(tmp_path):
    (tmp_path / "prices.yaml").write_text("gpt-*: {input: 1}")

    def _read(text: str):
        file = tmp_path / "c.yaml"
        file.write_text(text)
        return read_settings([file], {"HOME": "/h"})

    return _read


async def test_policies_and_prices_are_those_of_the_files(settings):
    governor = open_governor(settings("policies: {users: {alice: {rpm: 1}}}\nprices: prices.yaml"))
    assert isinstance(governor.limiter, MemoryLimiter)
    assert governor.prices.price_of("gpt-5")
    allowance = governor.allowance(Identity(user="alice", method="api_key"))
    await governor.admit(allowance)
    with pytest.raises(RateLimited):
        await governor.admit(allowance)


@pytest.mark.parametrize(
    ("url", "workers", "broker", "said"),
    [
        ("memory", 1, None, "Limits are per process"),
        ("memory", 4, Path("/x"), "Limits are shared by this machine's 4 workers"),
        ("redis://:hunter2@far", 1, None, "Limits are shared through Redis at far:6379, by all"),
        ("postgresql://u:hunter2@far/db", 4, None, "Limits are shared through PostgreSQL at far:5432/db, by all"),
    ],
)
async def test_who_shares_the_limits_is_said(settings, url, workers, broker, said):
    governor = open_governor(settings(f"storage: {{limits_url: '{url}'}}"), workers=workers, broker=broker)
    assert governor.describe().startswith(said)
    assert "hunter2" not in governor.describe()
    assert isinstance(governor.limiter, SharedLimiter) is (said != "Limits are per process")
    await governor.stop()
