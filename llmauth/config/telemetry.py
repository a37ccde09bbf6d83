"""The section `telemetry`: whether a collector of OpenTelemetry is told, and where it is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, InstanceOf

from llmauth.config.sections import Duration, Section
from llmauth.secrets import Secret

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# Until the next line, and within what a header may hold.
_VALUE = re.compile(r"[\x20-\x7e\x80-\xff]{1,4096}")
_OURS = frozenset({"host", "content-type", "content-length", "connection", "transfer-encoding"})


def _endpoint(value: object) -> str:
    text = value if isinstance(value, str) else ""
    if not _leads_somewhere(text):
        raise ValueError("not an address of a collector; write http://collector:4318 or https://collector.example:4318")
    return text.rstrip("/")


def _leads_somewhere(text: str) -> bool:
    try:
        parts = urlsplit(text)
        named = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    more = parts.username is not None or "?" in text or "#" in text
    return named and parts.scheme in ("http", "https") and not more and text.isascii() and text.isprintable()


def _header_value(value: object) -> Secret:
    if not isinstance(value, str) or not _VALUE.fullmatch(value):
        raise ValueError("not a value that a header may have; write one line of text")
    return Secret(value)


def _header_name(value: object) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value) or value.lower() in _OURS:
        raise ValueError("not a header that may be added here")
    return value


class Otlp(Section):
    """Where the collector takes OTLP over HTTP. `headers` are sent with every export, and shown nowhere."""

    endpoint: Annotated[str, BeforeValidator(_endpoint)]
    headers: Mapping[
        Annotated[str, BeforeValidator(_header_name)],
        Annotated[InstanceOf[Secret], BeforeValidator(_header_value)],
    ] = Field(default={}, repr=False)
    interval: Duration = 30.0
    metrics: bool = True
    traces: bool = True
    ca_file: Path | None = None


class Telemetry(Section):
    """What is told besides logs and `/metrics`: nothing, unless it is configured."""

    otlp: Otlp | None = None
