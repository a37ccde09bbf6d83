"""The line by which a shell has our completion, and the files in which people put it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from secrets import token_hex

from llmauth.regular import read_regular

LINES: Mapping[str, str] = {
    "bash": 'eval "$(llmauth completion bash)"',
    "zsh": 'eval "$(llmauth completion zsh)"',
    "fish": "llmauth completion fish | source",
}
_FILES = (".bashrc", ".bash_profile", ".profile", ".zshrc", ".config/fish/config.fish")
_LONGEST = 1024 * 1024


def found(home: Path) -> tuple[Path, ...]:
    """The files of this home folder that hold such a line, alone on its line; a file behind a link counts as well."""
    return tuple(path for name in _FILES if _holds(path := home / name))


def take_out(path: Path) -> bool:
    """Take these lines out, and leave every other byte as it is; False for a link, which belongs to something else."""
    if path.is_symlink() or not _holds(path):
        return False
    before = path.stat()
    lines = read_regular(path, _LONGEST).splitlines(keepends=True)
    kept = b"".join(line for line in lines if not _is_ours(line))
    new = path.with_name(f".{path.name}.{token_hex(8)}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "wb") as file:
            os.fchmod(descriptor, before.st_mode & 0o7777)
            file.write(kept)
        os.replace(new, path)
    finally:
        new.unlink(missing_ok=True)
    return True


def _holds(path: Path) -> bool:
    try:
        return any(map(_is_ours, read_regular(path, _LONGEST).splitlines()))
    except OSError:
        return False


def _is_ours(line: bytes) -> bool:
    return line.strip() in {one.encode() for one in LINES.values()}
