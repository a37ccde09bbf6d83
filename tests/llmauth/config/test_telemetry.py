"""The section `telemetry`: an address that leads somewhere, and headers that stay secret."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from llmauth.config.problems import ConfigError
from llmauth.config.settings import read_settings
from llmauth.config.telemetry import Otlp, Telemetry


def test_nothing_is_told_to_anybody_unless_it_is_configured() -> None:
    assert Telemetry().otlp is None


def test_an_address_is_enough() -> None:
    one = Otlp.model_validate({"endpoint": "http://collector:4318/"})
    assert (one.endpoint, one.interval, one.metrics, one.traces) == ("http://collector:4318", 30.0, True, True)


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "collector:4318",
        "ftp://x",
        "http://",
        "http://u:p@x",
        "http://x?y",
        "http://x#y",
        "http://x:99999",
        4318,
        "http://x/\n",
    ],
)
def test_what_is_no_address(endpoint: Any) -> None:
    with pytest.raises(ValidationError) as refused:
        Otlp.model_validate({"endpoint": endpoint})
    assert "u:p" not in str(refused.value)


def test_headers_are_shown_nowhere() -> None:
    one = Otlp.model_validate({"endpoint": "https://x", "headers": {"Authorization": "Bearer canary"}})
    assert one.headers["Authorization"].reveal() == "Bearer canary"
    assert "canary" not in repr(one) + str(one) + str(one.headers)


@pytest.mark.parametrize(
    "headers", [{"A b": "x"}, {"Host": "x"}, {"content-length": "1"}, {"X-A": "a\r\nX-B: b"}, {"X-A": ""}, {"X-A": 7}]
)
def test_headers_that_would_be_others(headers: Any) -> None:
    with pytest.raises(ValidationError):
        Otlp.model_validate({"endpoint": "https://x", "headers": headers})


@pytest.mark.parametrize("name", ["Authorization", "X-Honeycomb-Team", "DD-API-KEY", "x-key"])
def test_a_header_that_is_refused_is_not_repeated(name: str, tmp_path: Path) -> None:
    config = tmp_path / "gateway.yaml"
    config.write_text(json.dumps({"telemetry": {"otlp": {"endpoint": "https://x", "headers": {name: "canary\nx"}}}}))
    with pytest.raises(ConfigError) as refused:
        read_settings([config], {"LLMAUTH_HOME": str(tmp_path)})
    assert "canary" not in str(refused.value)
    assert f"telemetry.otlp.headers.{name}" in str(refused.value)
