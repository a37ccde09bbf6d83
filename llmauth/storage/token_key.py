"""The key that placeholder tokens are signed with: made once, kept private, the same for all who share the folder."""

from __future__ import annotations

import os
import shlex
import stat
from pathlib import Path
from secrets import token_bytes, token_hex

from llmauth.secrets import Secret
from llmauth.storage.home import StateUnsafe, StateUnusable

FILE = "token.key"
LENGTH = 32


def load_or_create(folder: Path) -> Secret:
    """The key in the state folder, as hexadecimal digits; made where there is none.

    Of several processes that start at once one makes it and the others read it. Raises StateUnsafe when others can
    read it, StateUnusable when it is no key or cannot be had.
    """
    path = folder / FILE
    try:
        if not path.exists():
            _create(path)
        return _read(path)
    except OSError as error:
        raise StateUnusable(f"The key of placeholder tokens {path} cannot be used: {error.strerror}.") from None


def _create(path: Path) -> None:
    new = path.with_name(f".{path.name}.{token_hex(8)}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(token_bytes(LENGTH))
            file.flush()
            os.fsync(descriptor)
        # link(2) fails where the name is taken: whoever is second reads the first one's.
        os.link(new, path)
        _sync(path.parent)
    except FileExistsError:
        pass
    finally:
        new.unlink(missing_ok=True)


def _read(path: Path) -> Secret:
    descriptor = os.open(path, os.O_RDONLY)
    with open(descriptor, "rb") as file:
        _require_private(path, os.fstat(descriptor))
        content = file.read(LENGTH + 1)
    if len(content) != LENGTH:
        raise StateUnusable(
            f"{path} does not hold {LENGTH} bytes, so it is no key of placeholder tokens. Remove it: the next start "
            "makes a new one, and SDKs ask for a token again."
        )
    return Secret(content.hex())


def _require_private(path: Path, found: os.stat_result) -> None:
    # A Kubernetes secret belongs to root and is readable by the pod's group (fsGroup): that is as narrow as it gets.
    allowed = 0o700 if found.st_uid == os.getuid() else 0o740
    mode = stat.S_IMODE(found.st_mode)
    if mode & 0o777 & ~allowed:
        raise StateUnsafe(
            f"{path} is open to other users (mode {mode:04o}), who could make tokens of any caller. Remove it; the "
            f"next start makes a new one. Or close it, if nobody has read it: chmod 600 {shlex.quote(str(path))}"
        )


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
