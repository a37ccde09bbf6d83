"""Files that a user names, read whole without waiting: a regular one of moderate size, and nothing else."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path


def read_regular(path: Path, most: int = 16 * 2**20) -> bytes:
    """What the file holds; symbolic links are followed. OSError with a clear `strerror` where it is no regular file
    (a pipe, a device, a folder), larger than `most` bytes, not there or not ours to read."""
    # To open a pipe for reading waits for its writer; with O_NONBLOCK it does not, and its kind is seen afterwards.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "is no regular file", str(path))
        file = open(descriptor, "rb")  # noqa: SIM115 - it takes the descriptor over, and is closed below
    except OSError:
        os.close(descriptor)
        raise
    with file:
        # By what is read, not by what stat says: files of /proc say 0, and one that is written to grows.
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"is larger than {most} bytes", str(path))
    return content
