"""One client stack: how it is found on a machine, the smallest program that asks with it, and what mends it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What a probe is to ask: `url` is our page, `folder` a folder of its own, `environ` that of `llmauth run`."""

    url: str
    host: str
    proxy_port: int
    folder: Path
    environ: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What is run; `stdin` is what it reads, `answer` the text of its output that proves that our page was read."""

    command: Sequence[str]
    stdin: str = ""
    answer: str = '"llm-proxy-auth"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """`name` is how it is called here. `way`, `trust` and `slot` name what leads it to the proxy, by what it believes
    its CA, and where its credential stands: the fix of what it does not do."""

    name: str
    program: Callable[[Place], Program]
    way: str = "HTTPS_PROXY"
    trust: str = "SSL_CERT_FILE"
    slot: str = "HTTPS_PROXY"
    limit: float = 10.0
    older: str | None = None  # what is to be known of this version where it works under `llmauth run` alone
    older_fix: str = ""
    needs_restriction: bool = False
