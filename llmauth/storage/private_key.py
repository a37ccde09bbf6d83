"""Keys of our own, a file each: made once by whoever comes first, private, the same for all who share the folder."""

from __future__ import annotations

import os
import shlex
import stat
from dataclasses import dataclass
from pathlib import Path
from secrets import token_bytes, token_hex

from llmauth.durable import sync_folder
from llmauth.secrets import Secret
from llmauth.storage.home import StateUnsafe, StateUnusable

LENGTH = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateKeyFile:
    """One such key: the name of its file, and what its sentences say.

    `purpose` is what it is (`key of placeholder tokens`), `danger` what whoever reads it could do, `remedy` what to do
    about a file that holds no key.
    """

    name: str
    purpose: str
    danger: str
    remedy: str

    def load_or_create(self, folder: Path) -> Secret:
        """The key in this folder, as hexadecimal digits; made where there is none.

        Of several processes that start at once one makes it and the others read it. Raises StateUnsafe when others can
        read it, StateUnusable when it is no key or cannot be had.
        """
        path = folder / self.name
        try:
            if not path.exists():
                _create(path)
            return self._read(path)
        except OSError as error:
            raise self._unusable(path, error) from None

    def load(self, folder: Path) -> Secret | None:
        """The key in this folder, None where there is none; raises as `load_or_create` does."""
        path = folder / self.name
        try:
            return self._read(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unusable(path, error) from None

    def _read(self, path: Path) -> Secret:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            self._require_private(path, os.fstat(descriptor))
            content = file.read(LENGTH + 1)
        if len(content) != LENGTH:
            raise StateUnusable(f"{path} does not hold {LENGTH} bytes, so it is no {self.purpose}. {self.remedy}")
        return Secret(content.hex())

    def _require_private(self, path: Path, found: os.stat_result) -> None:
        # A Kubernetes secret belongs to root and is readable by the pod's group (fsGroup): it gets no narrower.
        allowed = 0o700 if found.st_uid == os.getuid() else 0o740
        mode = stat.S_IMODE(found.st_mode)
        if mode & 0o777 & ~allowed:
            raise StateUnsafe(
                f"{path} is open to other users (mode {mode:04o}), {self.danger}. {self.remedy} Or close it, if nobody "
                f"has read it: chmod 600 {shlex.quote(str(path))}"
            )

    def _unusable(self, path: Path, error: OSError) -> StateUnusable:
        return StateUnusable(f"The {self.purpose} {path} cannot be used: {error.strerror}.")


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
        sync_folder(path.parent)
    except FileExistsError:
        pass
    finally:
        new.unlink(missing_ok=True)
