"""What a client says of a call, in the characters that AWS allows in `requestMetadata`."""

from __future__ import annotations

import re
from collections.abc import Mapping

# "[a-zA-Z0-9\s:_@$#=/+,-.]{1,256}", and at most 16 pairs.
_FORBIDDEN = re.compile(r"[^a-zA-Z0-9\s:_@$#=/+,.-]", re.ASCII)
_LONGEST = 256
MOST = 16


def clean_value(text: str) -> str:
    """Another character becomes `_`; what is too long is cut."""
    return _FORBIDDEN.sub("_", text)[:_LONGEST]


def clean(pairs: Mapping[str, str]) -> dict[str, str]:
    """All pairs; a name must not be empty."""
    return {clean_value(name) or "_": clean_value(value) for name, value in pairs.items()}
