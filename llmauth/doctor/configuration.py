"""The configuration, and what it warns of. With a fault in it, nothing else is looked at."""

from __future__ import annotations

from collections.abc import Iterator

from llmauth.doctor.findings import Finding, ok, warn
from llmauth.doctor.patient import Patient


def examine(patient: Patient) -> Iterator[Finding]:
    """Each file by name, each warning with what it says to do."""
    settings = patient.settings
    files = ", ".join(str(file) for file in settings.files) or "no file, defaults alone"
    count = len(settings.instances)
    yield ok(f"configuration readable ({files}; {count} {'instance' if count == 1 else 'instances'})")
    for warning in settings.warnings:
        yield _of_warning(warning)
    for name in settings.unavailable:
        yield warn(f"without effect in this version: {name}", f"unset {name}")


def _of_warning(warning: str) -> Finding:
    """What is wrong stands before the colon or the semicolon, and what to do behind it, where it says so."""
    for mark in (": ", "; "):
        what, found, fix = warning.rstrip(".").partition(mark)
        if found and fix.split(" ")[0] in _DOES:
            return warn(what, fix)
    return warn(warning.rstrip("."), _FIXES.get(warning.split(" ")[0], "llmauth config check"))


_DOES = ("add", "name", "write", "set")
# Warnings that state a risk and no remedy, by their first word.
_FIXES = {
    "Authentication": "auth: {enabled: true}",
    "Port": "server: {host: 127.0.0.1}, or tls_cert_file and tls_key_file with the plain port closed off",
    "Limits": "policies: {default: {rpm: 600}}",
    "The": "put the narrower rule first under models:",
}
