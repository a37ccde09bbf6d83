"""Tells a collector from a thread of its own: whatever becomes of it, no request waits or fails."""

from __future__ import annotations

import logging
import secrets
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Literal

from llmauth import __version__
from llmauth.telemetry.access import Outcome
from llmauth.telemetry.otlp.encoding import metrics_request, traces_request
from llmauth.telemetry.otlp.kept import kept
from llmauth.telemetry.otlp.measures import Measures, resource_of
from llmauth.telemetry.otlp.spans import span_of

logger = logging.getLogger(__name__)

Signal = Literal["metrics", "traces"]
Send = Callable[[Signal, bytes], str | None]
"""Posts a request to the collector, blocking; None when it was taken, else why not, in words without secrets."""
Count = Callable[[str, str], None]
"""Is told a signal and what became of it: `sent`, `failed`, or `dropped` for each span that found no room."""

MOST_WAITING = 2048
_AT_ONCE = 512
_LAST_WORDS = 5.0


class Exporter:
    """`tell` on the event loop, everything else in the thread. Measures are told anew with every interval, so one that
    the collector missed is made good by the next; spans that it did not take are lost, and counted.
    """

    def __init__(
        self,
        send: Send,
        *,
        known: Callable[[str], str],
        count: Count,
        interval: float,
        metrics: bool = True,
        traces: bool = True,
    ) -> None:
        self._send, self._count, self._interval = send, count, interval
        self._measures = Measures(known) if metrics else None
        # What spans are made of: to make one takes longer than the loop should stand still for.
        self._ended: deque[Outcome] | None = deque() if traces else None
        self._resource = resource_of(__version__, secrets.token_hex(8))
        self._wake = threading.Event()
        self._ends = False
        self._failing = False
        self._thread = threading.Thread(target=self._run, name="otlp", daemon=True)

    def start(self) -> None:
        """Begin to export."""
        self._thread.start()

    def stop(self) -> None:
        """Export what is left, for some seconds at most. Blocking."""
        self._ends = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(_LAST_WORDS)

    def tell(self, outcomes: Sequence[Outcome]) -> None:
        """These requests have ended."""
        try:
            for outcome in outcomes:
                self._tell(outcome)
        except Exception:
            logger.exception("What became of a request could not be made a measure or a span")
        if self._ended is not None and len(self._ended) >= _AT_ONCE:
            self._wake.set()

    def _tell(self, outcome: Outcome) -> None:
        if self._measures is not None:
            self._measures.record(outcome)
        if self._ended is None:
            return
        if len(self._ended) >= MOST_WAITING:
            self._count("traces", "dropped")
        else:
            self._ended.append(kept(outcome))

    def _run(self) -> None:
        while not self._ends:
            self._wake.wait(self._interval)
            self._wake.clear()
            try:
                self._export()
            except Exception:
                logger.exception("Nothing could be exported")

    def _export(self) -> None:
        if self._measures is not None and (told := self._measures.told()):
            self._post("metrics", metrics_request(self._resource, __version__, told))
        while self._ended:
            batch = [self._ended.popleft() for _ in range(min(len(self._ended), _AT_ONCE))]
            spans = [span for span in map(span_of, batch) if span is not None]
            if spans and not self._post("traces", traces_request(self._resource, __version__, spans)):
                for _ in spans:
                    self._count("traces", "dropped")
                return  # a collector that is gone is asked again after an interval, not for every batch

    def _post(self, signal: Signal, body: bytes) -> bool:
        why = self._send(signal, body)
        self._count(signal, "sent" if why is None else "failed")
        if why is not None and not self._failing:
            logger.warning("The collector of telemetry takes nothing: %s", why, extra={"signal": signal})
        elif why is None and self._failing:
            logger.info("The collector of telemetry takes everything again", extra={"signal": signal})
        self._failing = why is not None
        return why is None
