"""The page of the metrics, from where they are made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from llmauth.telemetry.definitions import Described
from llmauth.telemetry.metrics import Metrics
from llmauth.telemetry.series import DIRECTIONS, FAULTS, METHODS, RATE_LIMITS, TUNNEL_ENDS, UNMETERED, codes
from llmauth.telemetry.standing import CHECKS, RELOADS

INTRODUCTION = """\
# Metrics

What `/metrics` shows, in the text format of Prometheus. `scripts/docs` writes this page from the code that counts;
[OBSERVABILITY.md](OBSERVABILITY.md) says where it is read, with which key, and what of it stands on the dashboard.

Every label takes its values from the configuration or from a closed set below, never from what a client sends.
Histograms have `_bucket`, `_sum` and `_count`; of several [workers](WORKERS.md) counters are added, and gauges put
together as each is meant.
"""

OF_LABELS = """\
## Labels

Where nothing is known a value is `none`; what is in no list is `other`.
"""


def page() -> str:
    """The whole page."""
    metrics = Metrics().described()
    sections = groupby(metrics, key=lambda one: one.section)
    parts = [INTRODUCTION, *(of_section(title, members) for title, members in sections), OF_LABELS]
    return "\n".join([*parts, "".join(f"{line}\n" for line in labels())])


def of_section(title: str, members: Iterable[Described]) -> str:
    """Its metrics, and the buckets of those that have them."""
    found = list(members)
    lines = [f"## {title}", "", "| name | type | labels | unit | |", "|---|---|---|---|---|", *map(row, found)]
    buckets = [f"* `{one.name}`: {', '.join(f'{bound:g}' for bound in one.buckets)}" for one in found if one.buckets]
    lines += ["", "Buckets, in seconds:", "", *buckets] if buckets else []
    return "".join(f"{line}\n" for line in lines)


def row(one: Described) -> str:
    """A metric as a line of the table."""
    return f"| `{one.name}` | {one.kind} | {', '.join(one.labels)} | {one.unit} | {one.text} |"


def labels() -> Iterator[str]:
    """What each label may say."""
    yield "| label | values |"
    yield "|---|---|"
    for name, values in (
        ("instance, region", "as the configuration names them"),
        ("provider", "the type of the instance"),
        ("model", "a model that the configuration names, by either of its names; else `other`"),
        ("strategy", "the strategies of the instance, by type and backend"),
        ("mode", "`transparent`, `protocol`"),
        ("protocol", "the client's, in protocol mode; else `native`"),
        ("method", f"{listed(METHODS)}; of `auth_failures_total` the way in which a caller proves who it is"),
        ("status", "what the client got, as a number; 499 where it left, 000 for what is no status"),
        ("error_type", listed(codes())),
        ("fault", listed(FAULTS)),
        ("limit", f"of `rate_limited_total` {listed(RATE_LIMITS)}; of `limits_reached_total` a key of `limits:`"),
        ("direction", f"{listed(DIRECTIONS)}; of WebSockets `in`, `out`; of tunnels `sent`, `received`"),
        ("cache", listed(("none", "read", "write"))),
        ("reason", f"of `unmetered_usage_total` {listed(UNMETERED)}; of `auth_failures_total` one word of the code's"),
        ("result", f"`success`, `unavailable`, `error`; of `config_reloads_total` {listed(RELOADS)}"),
        ("check", listed(CHECKS)),
        ("end", listed(TUNNEL_ENDS)),
        ("version, python", "of this program, and of Python"),
    ):
        yield f"| {name} | {values} |"


def listed(values: Iterable[str]) -> str:
    """Values in a cell; a set has no order of its own."""
    ordered = sorted(values) if isinstance(values, frozenset) else values
    return ", ".join(f"`{value}`" for value in ordered)
