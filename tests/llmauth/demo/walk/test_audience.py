"""What comes after the walk is told line by line, until the gateway is gone."""

from __future__ import annotations

import http.client

import pytest

from llmauth.demo.walk.audience import watch
from llmauth.demo.walk.problem import DemoFailed
from llmauth.demo.walk.stage import Stage


def ask(port: int, path: str, key: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path, headers={"Authorization": f"Bearer {key}"})
    connection.getresponse().read()
    connection.close()


def test_tells_requests_and_the_end() -> None:
    with Stage(("alice",)) as stage:
        stage.wait_until_ready()
        lines = watch(stage)
        for path in ("/health", "/transparent/openai/v1/models", "/nowhere"):
            ask(stage.port, path, stage.keys["alice"])
        assert "alice  200 openai received Bearer sk-demo-…" in next(lines).plain
        assert "404 the proxy received nothing, not_found" in next(lines).plain
        stage.proxy.stop()
        with pytest.raises(DemoFailed, match="The proxy ended by itself: Stopped"):
            next(lines)
