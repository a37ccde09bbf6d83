"""The one error of this room."""

from __future__ import annotations


class CaError(Exception):
    """The certificate authority is missing, unsafe, spent, or does not cover a name; the text says what to do."""
