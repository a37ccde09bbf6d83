"""The state folder: whose it is, who may look into it, what room is left; its keys and its record of decisions."""

from __future__ import annotations

import os
import shlex
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from llmauth.audit import segments
from llmauth.audit.verify import verify_newest
from llmauth.config.stores import open_store
from llmauth.doctor.findings import Finding, fail, ok, skip, warn
from llmauth.doctor.patient import Patient
from llmauth.storage.databases import is_file
from llmauth.storage.home import StateError

_LITTLE, _TOO_LITTLE = 1024**3, 64 * 1024**2


def examine(patient: Patient) -> Iterator[Finding]:
    """The folder first: where there is none yet, nothing else of it is looked at, and nothing is made."""
    home = patient.settings.home
    if not home.exists():
        yield skip(f"no state folder yet ({home}); `llmauth serve` makes it")
        return
    yield from _folder(home)
    yield from _room(home)
    yield from _keys(patient)
    yield from _audit(patient)


def _folder(home: Path) -> Iterator[Finding]:
    found, quoted = home.stat(), shlex.quote(str(home))
    if not stat.S_ISDIR(found.st_mode):
        yield fail(f"state folder: {home} is not a folder", f"mv {quoted} {quoted}.old")
        return
    mode = stat.S_IMODE(found.st_mode)
    if found.st_uid != os.getuid():
        yield fail(f"state folder {home} belongs to user {found.st_uid}", f"chown -R {os.getuid()} {quoted}")
    elif mode & 0o077:
        yield fail(f"state folder {home} is open to other users (mode {mode:04o})", f"chmod 700 {quoted}")
    elif not os.access(home, os.W_OK | os.X_OK):
        yield fail(f"state folder {home} cannot be written", f"chmod u+rwx {quoted}, or LLMAUTH_HOME=FOLDER")
    else:
        yield ok(f"state folder private ({home})")


def _room(home: Path) -> Iterator[Finding]:
    free = shutil.disk_usage(home).free
    size = f"{free / 1024**3:.1f} GiB" if free >= _LITTLE else f"{free // 1024**2} MiB"
    fix = f"free space below {home}, or LLMAUTH_HOME=FOLDER on another disk"
    if free < _TOO_LITTLE:
        yield fail(f"{size} free for state: without room for the audit record every request is refused", fix)
    elif free < _LITTLE:
        yield warn(f"{size} free for state", fix)
    else:
        yield ok(f"{size} free")


def _keys(patient: Patient) -> Iterator[Finding]:
    url = patient.settings.storage.url
    if is_file(url) and not Path(url.removeprefix("sqlite:///")).exists():
        yield skip("no keys yet; llmauth keys create NAME makes the first")
        return
    try:
        store = open_store(patient.settings)
        try:
            keys = [one for one in store.list() if one.revoked is None]
        finally:
            store.close()
    except StateError as error:
        yield fail(f"key store: {error}", "storage: {url: …}, or what the sentence before says")
        return
    yield ok(f"key store opens ({len(keys)} {'key' if len(keys) == 1 else 'keys'})")


def _audit(patient: Patient) -> Iterator[Finding]:
    home = patient.settings.home
    if not patient.settings.audit.enabled:
        yield warn("audit record switched off: nobody can tell later who was let in", "audit: {enabled: true}")
        return
    folder = home / segments.FOLDER
    if not folder.exists():
        yield skip("no audit record yet; the first start begins it")
        return
    if not os.access(folder, os.W_OK | os.X_OK):
        yield fail(
            "audit record cannot be written: every request is refused", f"chmod u+rwx {shlex.quote(str(folder))}"
        )
        return
    try:
        found = verify_newest(home)
    except (StateError, OSError) as error:
        yield fail(f"audit record: {error}", "llmauth audit verify")
        return
    if found.faults:
        yield fail(f"audit record: {found.faults[0]}", "llmauth audit verify")
    else:
        yield ok(f"audit record whole in its newest file ({found.records} records)")
