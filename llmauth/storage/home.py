"""The state folder: where it is, and that nobody else can look into it."""

from __future__ import annotations

import shlex
import stat
import sys
from collections.abc import Mapping
from pathlib import Path


class StateError(Exception):
    """Stored state cannot be used as asked; the text is a sentence that says what to do."""


class StateUnsafe(StateError):
    """State that other users of the machine can read or change."""


class StateUnusable(StateError):
    """State that is missing, damaged, locked, or may not be read."""


def state_folder(environ: Mapping[str, str], platform: str = sys.platform) -> Path:
    """`LLMAUTH_HOME`, else the place where this platform keeps the state of programs. Nothing is created."""
    if chosen := environ.get("LLMAUTH_HOME"):
        return Path(chosen).expanduser().absolute()
    home = Path(environ["HOME"]) if environ.get("HOME") else Path.home()
    if platform == "darwin":
        return home / "Library" / "Application Support" / "llmauth"
    # XDG Base Directory: "If an implementation encounters a relative path in any of these variables it should consider
    # the path invalid and ignore it."
    shared = environ.get("XDG_STATE_HOME", "")
    return (Path(shared) if shared.startswith("/") else home / ".local" / "state") / "llmauth"


def prepare(folder: Path) -> Path:
    """The folder, made with mode 0700 where it was missing; StateUnsafe or StateUnusable when it cannot serve."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise StateUnusable(f"{folder} is not a folder. Set LLMAUTH_HOME to another place, or move it away.") from None
    except OSError as error:
        raise StateUnusable(
            f"The state folder {folder} cannot be made: {error.strerror}. "
            "Set LLMAUTH_HOME to a folder that this user may write to."
        ) from None
    require_private(folder)
    return folder


def require_private(path: Path) -> None:
    """StateUnsafe, with the command that mends it, when anybody but the owner has any right on `path`."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        wanted = "700" if path.is_dir() else "600"
        raise StateUnsafe(
            f"{path} is open to other users (mode {mode:04o}). Close it with: chmod {wanted} {shlex.quote(str(path))}"
        )
