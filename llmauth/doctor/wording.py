"""How lengths of time and fingerprints are written for people."""

from __future__ import annotations


def span(seconds: float) -> str:
    """`59 s`, `41 min`, `3 h 05 min`, `12 d`."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min" if whole < 172_800 else f"{whole // 86_400} d"


def short(fingerprint: str) -> str:
    """Enough of a fingerprint to be compared by people: `4F:1A:02:77:…:9C`."""
    parts = fingerprint.split(":")
    return ":".join((*parts[:4], "…", *parts[-2:])) if len(parts) > 6 else fingerprint
