"""A Secret that is mounted into the pod: by its path, or where our own manifests mount it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from llmauth.context import ProviderType
from llmauth.credentials import file
from llmauth.platform import Machine
from llmauth.secrets import Secret
from llmauth.sources import SourceFailed, SourceUnavailable

FOLDERS = (Path("/etc/llmauth/secrets"), Path("/var/run/secrets/llmauth"))
"""Where a secret is looked for under its name, when no `mount_path` says where it is."""

# A changed secret counts within 5 s of its publication, as every changed file does.
REFRESH_AFTER = file.REFRESH_AFTER


def place_of(secret_name: str, mount_path: Path | None, machine: Machine) -> Path | None:
    """Where the secret is mounted; `None` where it is not and no `mount_path` says that it should be.

    SourceUnavailable when `mount_path` leads nowhere.
    """
    if mount_path is None:
        return next((place for folder in FOLDERS if _is_there(place := folder / secret_name, machine)), None)
    path = mount_path.expanduser()
    # A table of a pod's signals does not list its mounts: there it would be looked for.
    assumed = machine.simulated and bool(machine.environ.get("KUBERNETES_SERVICE_HOST"))
    if not assumed and not _is_there(path, machine):
        raise SourceUnavailable(f"{path} does not exist: no secret is mounted there")
    return path


def read(place: Path, key: str | None, provider: ProviderType) -> Mapping[str, Secret] | str:
    """The fields of one publication, or the text of the one that `key` names."""
    if key is None:
        return file.read(place, provider)
    if not place.is_dir():
        raise SourceFailed(f"{place} is one file, and `key` chooses among those of a folder; leave it out")
    try:
        return file.read_text(place / key)
    except SourceUnavailable:
        raise SourceFailed(f"{place} has no file of the name that `key` gives, {key}") from None


def _is_there(path: Path, machine: Machine) -> bool:
    return machine.read(str(path)) is not None if machine.simulated else path.exists()
