"""How the page looks other than mitmweb's own: what it cannot do here is not offered, and decisions have room."""

from __future__ import annotations

_STEERS = (
    "header nav.nav-tabs-lg a:nth-child(1)",  # File: open, clear
    "header nav.nav-tabs-lg a:nth-child(2)",  # Capture: modes
    "header nav.nav-tabs-lg a:nth-child(4)",  # Options
    ".main-menu .menu-group:nth-child(2)",  # Intercept
    ".flow-menu .menu-group:nth-child(1)",  # replay, duplicate, delete, mark
    ".flow-menu .menu-group:nth-child(3)",  # resume, abort
    ".flow-menu button:has(.fa-clone)",  # export, by a command
    ".contentview .controls button:has(.fa-edit)",
    ".contentview .controls a:has(.fa-upload)",
    ".kv-add-row",
    ".quickaction",
)
_RULES = (
    *(f"{selector} {{display: none}}" for selector in _STEERS),
    ".inline-input {pointer-events: none}",
    "section.timing > .inline-input {display: block; white-space: pre-wrap; font-family: monospace}",
    # Of a comment the list shows the first line.
    ".flow-table .col-comment {width: 22em; text-align: left}",
    ".flow-table td.col-comment {text-align: left; white-space: pre; font-size: 0; line-height: 0}",
    ".flow-table td.col-comment::first-line {font-size: 14px; line-height: 20px}",
)
_STYLE = f"<style>{' '.join(_RULES)}</style></head>".encode()


def dressed(document: bytes) -> bytes:
    """The page, with these rules."""
    return document.replace(b"</head>", _STYLE, 1)
