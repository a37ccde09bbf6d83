from __future__ import annotations

from addons.launch.workers.counts import PATIENCE, Counts
from llmauth.telemetry.metrics import Metrics, Observation
from llmauth.telemetry.sums import Snapshot


def snapshot(requests: int, clients: int = 0) -> Snapshot:
    metrics = Metrics()
    for _ in range(requests):
        metrics.observe(Observation(method="GET", status=200, seconds=0.1))
    for _ in range(clients):
        metrics.client_connected()
    return metrics.snapshot()


def value(text: str, name: str) -> float:
    (line,) = [line for line in text.splitlines() if line.startswith(name)]
    return float(line.split()[-1])


def asked(counts: Counts, workers: dict[int, Snapshot], now: float = 0.0) -> str:
    texts: list[str] = []
    counts.want(texts.append)
    assert counts.is_wanted
    counts.begin(workers, now)
    for number, told in workers.items():
        counts.finish(now)
        assert texts == []
        counts.told(number, told)
    counts.finish(now)
    (text,) = texts
    return text


def test_the_sum_is_told_when_all_have_told() -> None:
    text = asked(Counts(), {1: snapshot(3, 1), 2: snapshot(4, 2)})
    assert value(text, 'http_requests_total{method="GET",status="200"}') == 7
    assert value(text, "connected_clients") == 3


def test_what_one_that_ended_has_counted_stays_and_what_it_held_does_not() -> None:
    counts = Counts()
    asked(counts, {1: snapshot(3, 1), 2: snapshot(4, 2)})
    counts.ended(1)
    counts.ended(1)  # its place is empty until another one has told
    text = asked(counts, {1: snapshot(1, 0), 2: snapshot(5, 2)})
    assert value(text, 'http_requests_total{method="GET",status="200"}') == 3 + 1 + 5
    assert value(text, 'http_request_duration_seconds_count{method="GET"}') == 9
    assert value(text, "connected_clients") == 2


def test_one_that_does_not_answer_counts_with_its_last_word() -> None:
    counts, texts = Counts(), list[str]()
    asked(counts, {1: snapshot(3), 2: snapshot(4)})
    counts.want(texts.append)
    counts.begin([1, 2], 10.0)
    counts.told(1, snapshot(8))
    counts.finish(10.0 + PATIENCE / 2)
    assert texts == []
    assert counts.ends == 10.0 + PATIENCE
    counts.finish(10.0 + PATIENCE)
    assert value(texts[0], 'http_requests_total{method="GET",status="200"}') == 12
    assert counts.ends is None


def test_who_asks_during_a_round_is_answered_by_the_next() -> None:
    counts, early, late = Counts(), list[str](), list[str]()
    counts.want(early.append)
    counts.begin([1], 0.0)
    counts.want(late.append)
    assert not counts.is_wanted
    counts.told(1, snapshot(1))
    counts.finish(0.0)
    assert (len(early), late) == (1, [])
    assert counts.is_wanted
    counts.begin([], 0.0)
    counts.finish(0.0)
    assert len(late) == 1


def test_a_round_that_ends_with_a_worker_waits_for_it_no_longer() -> None:
    counts, texts = Counts(), list[str]()
    counts.want(texts.append)
    counts.begin([1], 0.0)
    counts.ended(1)
    counts.finish(0.0)
    assert len(texts) == 1
