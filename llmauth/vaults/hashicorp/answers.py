"""What an answer of Vault holds: a secret that is kept there, or one that is lent, with its life and its lease."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llmauth.secrets import Secret
from llmauth.sources import SourceFailed
from llmauth.vaults.hashicorp.calls import Answer, seconds

# The names of the AWS engine, and what they are called here.
_AWS = (
    ("access_key", "access_key_id"),
    ("secret_key", "secret_access_key"),
    ("security_token", "session_token"),
)
# Null or empty where keys are no temporary ones.
_SESSION = ("security_token", "session_token")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lent:
    """One secret. `lease_id` is there where Vault can take it back, `renewable` where it may be kept for longer."""

    content: Mapping[str, Secret]
    life: float | None = None
    version: str | None = None
    lease_id: str | None = None
    renewable: bool = False

    @property
    def outlives_its_token(self) -> bool:
        """Whether it is good until its end whatever becomes of our token: AWS's temporary keys cannot be taken back,
        and all else that is lent ends with the token that it was lent to."""
        return self.lease_id is None or "session_token" in self.content


def secret_in(answer: Answer, path: str) -> Lent:
    """The secret of an answer. SourceFailed, which repeats nothing of it, where there is none."""
    data = answer.content.get("data")
    if not isinstance(data, dict):
        raise SourceFailed(f"Vault holds no secret at {path}; its answer is of another kind")
    if _is_versioned(data):
        return Lent(content=_fields(data["data"], path), version=_version(data["metadata"]))
    return _unversioned(answer.content, data, path)


def _unversioned(told: Mapping[str, Any], data: Mapping[str, Any], path: str) -> Lent:
    content = _fields(data, path)
    lease_id = told.get("lease_id")
    if not isinstance(lease_id, str) or not lease_id:
        # The lease_duration of a secret that is only kept (key-value, version 1) is that of its mount, 32 days, and
        # means nothing.
        return Lent(content=content, life=_own_life(content, data))
    lease = seconds(told.get("lease_duration"))
    lives = [life for life in (lease, _own_life(content, data)) if life is not None]
    if not lives:
        raise SourceFailed(f"Vault lends the secret at {path} without saying for how long")
    renewable = told.get("renewable") is True and lease is not None
    return Lent(content=content, life=min(lives), lease_id=lease_id, renewable=renewable)


def _own_life(content: Mapping[str, Secret], data: Mapping[str, Any]) -> float | None:
    """How long a token says itself that it lives; some versions give it without a lease."""
    if "session_token" in content:
        return seconds(data.get("ttl"))
    return seconds(data.get("token_ttl")) if "token" in content else None


def missing(answer: Answer, path: str) -> SourceFailed:
    """The sentence for a 404, which has several reasons."""
    data = answer.content.get("data")
    metadata = data.get("metadata") if isinstance(data, dict) else None
    if isinstance(metadata, dict) and (metadata.get("deletion_time") or metadata.get("destroyed") is True):
        version = _version(metadata)
        which = "its newest version" if version is None else f"its version {version}"
        return SourceFailed(f"the secret at {path} is deleted in Vault, {which}; undelete it, or write a new one")
    if answer.content.get("warnings"):
        # "Invalid path for a versioned K/V secrets engine": the one warning that comes with a 404.
        return SourceFailed(f"Vault has no secret at {path}; key-value version 2 wants data/ behind the mount's name")
    return SourceFailed(f"Vault has no secret at {path} (HTTP 404); mount and path are read as they are written")


def _is_versioned(data: Mapping[str, Any]) -> bool:
    """Whether this is key-value version 2: a secret of version 1 may hold a field `data`, but not all of these."""
    metadata = data.get("metadata")
    told = set(metadata) if isinstance(metadata, dict) else set()
    return set(data) == {"data", "metadata"} and {"version", "created_time"} <= told


def _version(metadata: Mapping[str, Any]) -> str | None:
    version = metadata.get("version")
    return str(version) if isinstance(version, int) and not isinstance(version, bool) and 0 < version < 1e9 else None


def _fields(data: object, path: str) -> Mapping[str, Secret]:
    """The fields that are text. Those of AWS's engine also go by the names that credentials have here."""
    given = data if isinstance(data, dict) else {}
    texts = {name: value for name, value in given.items() if isinstance(value, str)}
    fields = {name: Secret(value) for name, value in texts.items() if value or name not in _SESSION}
    if not fields:
        raise SourceFailed(f"the secret at {path} in Vault has no field that is text")
    if "access_key" in fields and "secret_key" in fields:
        fields |= {ours: fields[theirs] for theirs, ours in _AWS if theirs in fields and ours not in fields}
    return fields
