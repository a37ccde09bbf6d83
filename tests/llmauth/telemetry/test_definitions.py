"""What is said of a metric where it is made: kept, with the unit that its name says."""

import pytest
from prometheus_client import CollectorRegistry

from llmauth.telemetry.definitions import Definitions, Described


def test_what_is_made_is_described_in_its_order():
    define = Definitions(CollectorRegistry())
    define.counter("a_total", "A.", "one")
    define.gauge("b", "B.")
    define.counts("c_total", "C.", "one", "two")
    define.spreads("d_seconds", "D.", "one", buckets=(0.1, 1))
    told = [(one.name, one.kind, one.labels, one.buckets) for one in define.described]
    assert told == [
        ("a_total", "counter", ("one",), ()),
        ("b", "gauge", (), ()),
        ("c_total", "counter", ("one", "two"), ()),
        ("d_seconds", "histogram", ("one",), (0.1, 1)),
    ]


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("proxy_overhead_seconds", "seconds"),
        ("websocket_bytes_total", "bytes"),
        ("config_reload_success_timestamp", "seconds since 1970"),
        ("http_requests_total", ""),
    ],
)
def test_the_unit_stands_in_the_name(name, unit):
    assert Described(name=name, kind="counter", text="", labels=()).unit == unit
