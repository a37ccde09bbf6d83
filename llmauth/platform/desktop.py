"""What a desktop has for strategies: a keyring service, and profiles of AWS; told by files alone, in no time."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from llmauth.platform import Platform

# By these a message bus starts a keyring when it is asked for one.
_SERVICES = (
    "/usr/share/dbus-1/services/org.freedesktop.secrets.service",
    "/usr/local/share/dbus-1/services/org.freedesktop.secrets.service",
)
_LONGEST = 64 * 1024


def desktop_features(platform: Platform, environ: Mapping[str, str], system: str = sys.platform) -> tuple[str, ...]:
    """`keyring=true`, `aws_profile=true(sso: valid 3h12m)`: what seems to be there. Whether it gives a credential, its
    strategy tells."""
    if platform.in_kubernetes:
        return ()
    return tuple(_found(environ, system))


def _found(environ: Mapping[str, str], system: str) -> Iterable[str]:
    if environ.get("PYTHON_KEYRING_BACKEND") or system in ("darwin", "win32") or _has_service(environ):
        yield "keyring=true"
    home = Path(environ.get("HOME") or "/nonexistent")
    files = (
        environ.get("AWS_CONFIG_FILE") or home / ".aws" / "config",
        environ.get("AWS_SHARED_CREDENTIALS_FILE") or home / ".aws" / "credentials",
    )
    if any(Path(file).is_file() for file in files):
        yield f"aws_profile=true{_login(home / '.aws' / 'sso' / 'cache')}"


def _has_service(environ: Mapping[str, str]) -> bool:
    bus = Path(environ.get("XDG_RUNTIME_DIR") or "/nonexistent") / "bus"
    return bool(environ.get("DBUS_SESSION_BUS_ADDRESS") or bus.exists()) and any(map(Path.exists, map(Path, _SERVICES)))


def _login(cache: Path) -> str:
    """How long the longest login of `aws sso login` lasts; nothing where there was none."""
    ends = [end for file in list(cache.glob("*.json"))[:50] if (end := _end(file)) is not None]
    if not ends:
        return ""
    left = round(max(ends) - time.time())
    return f"(sso: valid {left // 3600}h{left % 3600 // 60:02}m)" if left > 0 else "(sso: ended)"


def _end(file: Path) -> float | None:
    with suppress(OSError, ValueError, TypeError, KeyError, RecursionError):
        if file.stat().st_size <= _LONGEST:
            told: Any = json.loads(file.read_text(encoding="utf-8"))
            # The registration of the client, which lies beside it, has an end as well, and no token.
            return datetime.fromisoformat(told["expiresAt"]).timestamp() if "accessToken" in told else None
    return None
