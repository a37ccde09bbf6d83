"""The methods of a configuration, put together: which there are, and what of them keeps a server from starting."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llmauth.clock import ManualClock
from llmauth.config.problems import ConfigError
from llmauth.config.settings import read_settings
from llmauth.gateway.callers import Callers, callers_of
from llmauth.gateway.sourcing import outbound_of
from llmauth.storage.home import prepare


def callers(tmp_path: Path, **auth: Any) -> Callers:
    config = tmp_path / "gateway.yaml"
    config.write_text(json.dumps({"instances": {"openai": {"type": "openai"}}, "auth": auth}))
    environ = {"LLMAUTH_HOME": str(tmp_path / "home")}
    settings = read_settings([config], environ)
    prepare(settings.home)
    return callers_of(settings, environ, ManualClock(), outbound_of(settings), lambda method, reason: None)


def test_keys_alone_ask_for_no_certificate(tmp_path: Path) -> None:
    made = callers(tmp_path)
    try:
        assert made.certificates is None
        made.auth.start()
        assert made.auth.usable()
    finally:
        made.auth.stop()
        made.keys.close()


def test_a_method_that_cannot_be_used_as_it_is_written_ends_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="BASIC_AUTH_CREDENTIALS"):
        callers(tmp_path, methods=["basic"])
