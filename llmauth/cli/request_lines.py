"""Requests as lines for people: in columns that fit the terminal, or one after the other as they come."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from rich.cells import cell_len, set_cell_size

Request = Mapping[str, Any]

_GAP = "  "
_SWITCHED = 101
_CENT = Decimal("0.01")


class _Column(NamedTuple):
    """A column: how narrow it may become, and whether it may be left out, the lowest number first."""

    name: str
    least: int
    leave: int | None = None


# As wide as they are, until the terminal is too narrow; what says how it ended stays to the last.
_COLUMNS = (
    _Column("id", 8),
    _Column("user", 6, leave=5),
    _Column("door", 7, leave=1),
    _Column("host", 14, leave=4),
    _Column("path", 12, leave=6),
    _Column("model", 12, leave=7),
    _Column("status", 3),
    _Column("told", 12),
    _Column("cost", 4, leave=8),
    _Column("upstream", 8, leave=2),
    _Column("proxy", 5, leave=3),
)


def table(requests: Sequence[Request], width: int | None) -> list[str]:
    """A line for each, in columns; within `width` cells, where that is told: texts are cut, and columns left out."""
    rows = [_row(one) for one in requests]
    widths = {column.name: max((cell_len(row[column.name]) for row in rows), default=0) for column in _COLUMNS}
    if width is not None:
        _narrow(widths, width)
    shown = [column.name for column in _COLUMNS if widths[column.name]]
    return [_GAP.join(_cell(row[name], widths[name]) for name in shown).rstrip() for row in rows]


def line(one: Request, width: int | None) -> str:
    """One as it was over, with the time of the clock; within `width` cells, where that is told."""
    row = _row(one)
    parts = [
        clock(one.get("at")),
        row["id"],
        row["user"],
        plain(one.get("client", "")),
        "wss" if _is_socket(one) else "",
        row["host"] if "path" not in one or row["path"] == "CONNECT" else row["path"],
        row["model"],
        "stream" if one.get("stream") else "",
        row["status"],
        row["told"].replace(" tok", "") if not one.get("code") else row["told"],
        row["cost"],
        _labelled("ttft", one.get("first_byte_ms")) if one.get("stream") else row["upstream"],
        row["proxy"],
        f"served-by {plain(one['instance'])}" if "instance" in one else "",
    ]
    text = _GAP.join(part for part in parts if part)
    return text if width is None or cell_len(text) <= width else set_cell_size(text, width - 1) + "…"


def _row(one: Request) -> dict[str, str]:
    return {
        "id": plain(one.get("short") or one.get("request_id", "")),
        "user": plain(one.get("user") or "-"),
        "door": plain(one.get("door", "")),
        "host": plain(one.get("host", "")),
        "path": "CONNECT" if one.get("method") == "CONNECT" else plain(one.get("path", "")),
        "model": model(one),
        "status": status(one),
        "told": _told(one),
        "cost": cost(one.get("cost")),
        "upstream": _labelled("upstream", one.get("upstream_ms")),
        "proxy": _labelled("proxy", one.get("overhead_ms")),
    }


def _told(one: Request) -> str:
    """What came of it: tokens, or what was refused, or the bytes of a socket."""
    if one.get("code"):
        fault = f" ({one['fault']})" if one.get("fault") else ""
        return plain(f"{one['code']}{fault}")
    if _is_socket(one):
        return f"in {size(one.get('bytes_in'))} out {size(one.get('bytes_out'))}"
    return tokens(one)


def tokens(one: Request) -> str:
    """`in 41,212 (cached 39,870) out 522 tok`; nothing where none were told."""
    if "input_tokens" not in one and "output_tokens" not in one:
        return f"tokens {plain(one['unmetered'])}" if "unmetered" in one else ""
    cached = _number(one.get("cache_read_tokens"))
    whole = _number(one.get("input_tokens")) + cached + _number(one.get("cache_write_tokens"))
    held = f" (cached {cached:,})" if cached else ""
    return f"in {whole:,}{held} out {_number(one.get('output_tokens')):,} tok"


def model(one: Request) -> str:
    """What was asked for; in protocol mode, where another than its own answers, also who did."""
    asked = one.get("asked") or one.get("model") or ""
    if "protocol" not in one or "instance" not in one:
        return plain(asked)
    return plain(
        f"{asked} → {one['instance']} ({one['answer']})" if "answer" in one else f"{asked} → {one['instance']}"
    )


def status(one: Request) -> str:
    """The number; `cut` beside it where the answer was not whole."""
    if one.get("running"):
        return "running"
    cut = " cut" if one.get("cut") else ""
    return plain(f"{one['status']}{cut}") if "status" in one else "?"


def cost(text: object) -> str:
    """Money of the price table: three places, or the first that is not nothing."""
    try:
        amount = Decimal(str(text))
    except InvalidOperation:
        return ""
    if not amount.is_finite() or amount < 0:
        return ""
    return f"${amount:.{3 if amount >= _CENT else min(12, -amount.adjusted())}f}" if amount else "$0"


def duration(ms: object) -> str:
    """`0.3 ms`, `12 ms`, `0.9 s`."""
    if not isinstance(ms, int | float) or isinstance(ms, bool):
        return ""
    if ms < 1:
        return f"{ms:.2g} ms" if ms else "0 ms"
    return f"{ms:.0f} ms" if ms < 1000 else f"{ms / 1000:.1f} s"


def size(count: object) -> str:
    """`617 B`, `9.4 kB`."""
    number = float(_number(count))
    for unit in ("B", "kB", "MB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" or number >= 100 else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} GB"


def clock(at: object) -> str:
    """The time of day here."""
    return time.strftime("%H:%M:%S", time.localtime(at)) if isinstance(at, int | float) else "--:--:--"


def plain(text: object) -> str:
    """As it may be written to a terminal."""
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in str(text))


def _is_socket(one: Request) -> bool:
    return one.get("status") == _SWITCHED or "bytes_in" in one


def _labelled(label: str, ms: object) -> str:
    said = duration(ms)
    return f"{label} {said}" if said else ""


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _narrow(widths: dict[str, int], width: int) -> None:
    """Cut the widest again and again, then leave out what says least."""
    while _total(widths.values()) > width:
        loose = [column for column in _COLUMNS if widths[column.name] > column.least and column.name in _TEXTS]
        if loose:
            widest = max(loose, key=lambda column: widths[column.name])
            widths[widest.name] -= 1
            continue
        leaving = [column for column in _COLUMNS if column.leave is not None and widths[column.name]]
        if not leaving:
            return
        widths[min(leaving, key=lambda column: column.leave or 0).name] = 0


_TEXTS = frozenset({"user", "host", "path", "model"})


def _total(widths: Iterable[int]) -> int:
    shown = [each for each in widths if each]
    return sum(shown) + len(_GAP) * (len(shown) - 1)


def _cell(text: str, width: int) -> str:
    return set_cell_size(text, width) if cell_len(text) <= width else set_cell_size(text, width - 1) + "…"
