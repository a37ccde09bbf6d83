"""Paths as people read them."""

from __future__ import annotations

import os
from pathlib import Path


def short(path: Path) -> str:
    """With `~` for the home folder."""
    home = os.environ.get("HOME")
    return f"~/{path.relative_to(home)}" if home and path.is_relative_to(home) and str(path) != home else str(path)
