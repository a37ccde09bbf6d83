"""What child processes get of our environment: enough to run, and nothing of a developer's own cloud set-up."""

from __future__ import annotations

from collections.abc import Mapping

_SHARED = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "LD_LIBRARY_PATH")
# Where an interpreter may find the product and what it stands on; the clients' one runs isolated from all that.
_OURS = ("HOME", "PYTHONPATH", "COVERAGE_PROCESS_START")


def for_proxy(environ: Mapping[str, str], variables: Mapping[str, str]) -> dict[str, str]:
    """The environment of `llmauth serve`, with these variables."""
    return {name: environ[name] for name in (*_SHARED, *_OURS) if name in environ} | dict(variables)


def for_caller(environ: Mapping[str, str], home: str, variables: Mapping[str, str]) -> dict[str, str]:
    """The environment of a caller whose home folder is empty: no ~/.aws, no ~/.netrc, no ~/.curlrc is met."""
    return {name: environ[name] for name in _SHARED if name in environ} | {"HOME": home, **variables}
