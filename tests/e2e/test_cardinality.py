"""R3: whatever clients write, the number of series stays what the configuration makes of it."""

from __future__ import annotations

import random
import re
import string
from collections.abc import Callable

from prometheus_client.parser import text_string_to_metric_families

from llmauth.context import RequestContext
from llmauth.demo.emulators import Emulators
from llmauth.http import Door
from llmauth.telemetry import access
from llmauth.telemetry.metrics import Metrics
from tests.fixtures.calls import CHAT, get
from tests.fixtures.outcomes import outcome, request, routed, spoken
from tests.fixtures.raw import Wire
from tests.fixtures.serving import Serving

MOST = 60
_CHANCE = random.Random(7)


def odd(length: int = 12) -> str:
    return "".join(_CHANCE.choice(string.ascii_letters + string.digits) for _ in range(length))


def series(text: str) -> set[tuple[str, tuple[tuple[str, str], ...]]]:
    """Every series, a histogram's buckets among them."""
    families = text_string_to_metric_families(text)
    return {(one.name, tuple(sorted(one.labels.items()))) for family in families for one in family.samples}


def values(text: str) -> set[str]:
    return {value for _, labels in series(text) for _, value in labels}


def test_hostile_requests_through_real_sockets(serve: Callable[..., Serving], emulators: Emulators) -> None:
    """Methods, hosts, paths, instances, models, users, keys, ids: some hundreds of each, and the caller has a key."""
    gateway = serve(level="info")
    key = gateway.key()
    ordinary(gateway, key)
    before = shown(gateway, key)
    hostile = [odd() for _ in range(300)]
    with Wire(gateway.port) as wire:
        for each in hostile:
            fields = [("Host", "gateway"), ("X-API-Key", key), ("X-Request-Id", each), ("User-Agent", each)]
            wire.request("GET", f"/transparent/{each}/v1/{each}", fields)
            wire.request("GET", f"/{each}?{each}={each}", fields)
            body = CHAT.replace(b"gpt-4o", each.encode())
            wire.request("POST", "/transparent/openai/v1/chat/completions", [*fields, ("X-Model", each)], body)
            wire.request("POST", "/v1/chat/completions", fields, body)
    for each in hostile[:100]:
        for data in (
            f"{each.upper()} / HTTP/1.1\r\nHost: gateway\r\nX-API-Key: {key}\r\n\r\n",
            f"GET / HTTP/1.1\r\nHost: {each}.example\r\nX-API-Key: {key}\r\n\r\n",
            f"GET /transparent/openai/v1/models HTTP/1.1\r\nHost: gateway\r\nX-API-Key: llmauth_{each}\r\n\r\n",
            f"CONNECT {each}.example:443 HTTP/1.1\r\nHost: {each}.example:443\r\nX-API-Key: {key}\r\n\r\n",
        ):
            with Wire(gateway.port) as wire:
                wire.send(data.encode()).answer()
    after = shown(gateway, key)
    new = series(after) - series(before)
    assert len(new) < MOST, sorted(name for name, _ in new)
    assert not values(after) & set(hostile)
    assert sum(one.startswith("http_requests_total") for one in after.splitlines()) < 30


def ordinary(gateway: Serving, key: str) -> None:
    """What a working day has: an answer, a refusal, a key that is wrong."""
    with Wire(gateway.port) as wire:
        fields = [("Host", "gateway"), ("X-API-Key", key)]
        wire.request("POST", "/transparent/openai/v1/chat/completions", fields, CHAT)
        wire.request("GET", "/nothing", fields)
    get(gateway, "/transparent/openai/v1/models", ("X-API-Key", "llmauth_wrong"))


def shown(gateway: Serving, key: str) -> str:
    gateway.log()
    return get(gateway, "/metrics", ("X-API-Key", key)).body.decode()


def test_ten_thousand_hostile_values_make_few_series() -> None:
    """The path of every observation, in all places where something that a client wrote could become a label."""
    metrics = Metrics(models=["gpt-5"])
    access.write([outcome(context) for context in (routed(), routed(model="x"), spoken("chat", model="x"))], metrics)
    before = metrics.render()[0].decode()
    for number in range(10_000):
        each = odd()
        context = (routed(f"/{each}", model=each), spoken("chat", model=each), plain(each))[number % 3]
        method = each if number % 2 else "POST"
        asked = request(("X-Request-Id", each), method=method, path=f"/{each}", door=Door.GATEWAY)
        one = outcome(context, request=asked, provider_request_id=each, limit=each, unmetered=each)
        access.write([one], metrics)
        metrics.tunnel_closed(each, sent=1, received=1)
    text = metrics.render()[0].decode()
    new = series(text) - series(before)
    assert len(new) < MOST, sorted(new)
    assert [value for value in values(text) if re.fullmatch("[A-Za-z0-9]{12}", value)] == []


def test_a_provider_cannot_invent_statuses() -> None:
    metrics = Metrics()
    for status in range(-1_000, 9_000):
        access.write([outcome(status=status)], metrics)
    found = {labels for name, labels in series(metrics.render()[0].decode()) if name == "bedrock_proxy_requests_total"}
    assert {dict(labels)["status"] for labels in found} == {"000", "101", *map(str, range(200, 600))}


def plain(request_id: str) -> RequestContext:
    return RequestContext(request_id=request_id, received_at=1.0, started=100.0)
