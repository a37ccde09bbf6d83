"""The methods of a configuration, put together: which there are, and what of them keeps a server from starting."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from llmauth.clock import ManualClock
from llmauth.config.problems import ConfigError
from llmauth.config.settings import read_settings
from llmauth.gateway.callers import Callers, Standing, callers_of, start, stop
from llmauth.gateway.sourcing import outbound_of
from llmauth.storage.home import prepare


@contextmanager
def callers(tmp_path: Path, **auth: Any) -> Iterator[Callers]:
    config = tmp_path / "gateway.yaml"
    config.write_text(json.dumps({"instances": {"openai": {"type": "openai"}}, "auth": auth}))
    environ = {"LLMAUTH_HOME": str(tmp_path / "home")}
    settings = read_settings([config], environ)
    prepare(settings.home)
    standing = Standing.open(settings, environ, ManualClock(), lambda method, reason: None)
    try:
        yield callers_of(settings, standing, outbound_of(settings))
    finally:
        standing.flights.close()
        standing.keys.close()


def test_keys_alone_ask_for_no_certificate(tmp_path: Path) -> None:
    with callers(tmp_path) as made:
        assert (made.certificates, made.authorities()) == (None, None)
        start(made.judges())
        assert made.auth.usable()
        stop(made.judges())
        assert made.beside([made]) == []


def test_a_method_that_cannot_be_used_as_it_is_written_ends_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="BASIC_AUTH_CREDENTIALS"), callers(tmp_path, methods=["basic"]):
        pass
