"""Which of several processes on one port this is, and what it shares with the others."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """Worker `worker` (from 1) of `workers`. `limits` is the socket of the process that counts limits for all of them
    (`llmauth.governance.broker`); its folder is closed to others."""

    worker: int
    workers: int
    limits: Path
