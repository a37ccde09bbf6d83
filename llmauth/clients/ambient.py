"""Whether this user has an identity at a cloud already, which programs may need for more than models."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from llmauth.clients.values import Ambient

_AWS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_PROFILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_SHARED_CREDENTIALS_FILE",
)
# What the firmware of the clouds' machines says, which the metadata service behind it makes true.
_MAKER = Path("/sys/class/dmi/id/sys_vendor")


def ambient_of(environ: Mapping[str, str]) -> Ambient:
    """By variables, files and the machine's own description; nobody is asked."""
    home = Path(environ["HOME"]) if environ.get("HOME") else None
    maker = ""
    with suppress(OSError):
        maker = _MAKER.read_text(encoding="ascii", errors="replace")
    aws = [home / ".aws" / name for name in ("credentials", "config")] if home else []
    folder = environ.get("CLOUDSDK_CONFIG") or (home / ".config" / "gcloud" if home else None)
    google = [Path(folder) / "application_default_credentials.json"] if folder else []
    return Ambient(
        aws=any(environ.get(name) for name in _AWS) or _any(aws) or "Amazon" in maker,
        google=bool(environ.get("GOOGLE_APPLICATION_CREDENTIALS")) or _any(google) or "Google" in maker,
    )


def _any(files: list[Path]) -> bool:
    return any(file.is_file() for file in files)
