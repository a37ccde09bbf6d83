"""After the walk: what other people send through the demo's gateway, as it happens."""

from __future__ import annotations

import time
from collections.abc import Iterator

from rich.text import Text

from llmauth.demo.walk import report
from llmauth.demo.walk.access import Access, AccessLog
from llmauth.demo.walk.evidence import received_by
from llmauth.demo.walk.problem import DemoFailed
from llmauth.demo.walk.stage import Stage

_POLL = 0.2


def watch(stage: Stage) -> Iterator[Text]:
    """A line for each request from now on, without an end; DemoFailed when the gateway ends by itself."""
    log = AccessLog(stage.proxy.log_file)
    log.take()
    return _follow(stage, log)


def _follow(stage: Stage, log: AccessLog) -> Iterator[Text]:
    while stage.proxy.running:
        for access in log.take():
            if access.instance is not None or access.code is not None:
                yield report.live(access, _received(stage, access))
        time.sleep(_POLL)
    raise DemoFailed(f"The proxy ended by itself: {stage.proxy.last_words()}")


def _received(stage: Stage, access: Access) -> str | None:
    for record in reversed(stage.emulators.requests()):
        if record.values("x-request-id") == [access.request_id.encode()]:
            return received_by(record, stage.emulators.credentials).text
    return None
