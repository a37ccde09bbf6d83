"""The emulated token services of Google, and surroundings that lead to them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from llmauth.credentials.base import Surroundings
from llmauth.outbound import Outbound
from tests.emulators.google_sts import GoogleTokens, leading


@pytest.fixture
def tokens() -> Iterator[GoogleTokens]:
    with GoogleTokens() as running:
        yield running


@pytest.fixture
def outbound(tokens: GoogleTokens, tmp_path: Path) -> Outbound:
    return leading(tmp_path, tokens)


@pytest.fixture
def with_file(standing: Callable[..., Surroundings], outbound: Outbound) -> Callable[..., Surroundings]:
    """A factory: surroundings whose environment names a credential file of this content."""

    def make(info: dict[str, Any], environ: dict[str, str] | None = None, **files: str) -> Surroundings:
        named = {"GOOGLE_APPLICATION_CREDENTIALS": "/etc/google.json", **(environ or {})}
        held = {"/etc/google.json": json.dumps(info), **{f"/{name}": text for name, text in files.items()}}
        return standing("vertex", named, held, outbound=outbound)

    return make
