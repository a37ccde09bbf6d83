"""Names as Kubernetes allows them: none of them can be a path, a second line, or a part of a URL."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field

# "a DNS subdomain name as defined in RFC 1123", "a DNS label name" and, of a Secret's keys, "alphanumeric characters,
# -, _ or ."; one that begins with two dots is kubelet's own.
_SUBDOMAIN = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_KEY = r"(\.?[-_a-zA-Z0-9][-._a-zA-Z0-9]*)"

SecretName = Annotated[str, Field(pattern=f"^{_SUBDOMAIN}$", max_length=253)]
Namespace = Annotated[str, Field(pattern=f"^{_LABEL}$", max_length=63)]
Key = Annotated[str, Field(pattern=f"^{_KEY}$", max_length=253)]

# A context's name is free text; only one that cannot surprise a log is repeated.
_SHOWN = re.compile(r"[\w.:/@+-]{1,128}", re.ASCII)


def is_namespace(name: str) -> bool:
    """Whether a name from a file can be a namespace's."""
    return len(name) <= 63 and re.fullmatch(_LABEL, name) is not None


def shown(name: str) -> str:
    """A free name as sentences repeat it; `?` for one with blanks or control characters."""
    return name if _SHOWN.fullmatch(name) else "?"
