"""The walk itself: every shell's process is loaded at once, and then the calls are made, one after the other."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

from llmauth.demo.walk import interruption
from llmauth.demo.walk.access import AccessLog
from llmauth.demo.walk.cast import cast
from llmauth.demo.walk.client import Client, interpreter
from llmauth.demo.walk.evidence import Outcome, judge
from llmauth.demo.walk.shells import Shell, Step
from llmauth.demo.walk.stage import Stage, place_of

# "Running servers refuse it within a second", says `llmauth keys revoke`.
REVOKED_WITHIN = 1.0

Tell = Callable[[str], None]


def walk(stage: Stage, tell: Tell) -> Iterator[Outcome]:
    """Waits until everything is ready, and makes the calls; one at a time, so that each has the machine for itself.

    `tell` is given a few words whenever something else begins. Raises DemoFailed.
    """
    python = interpreter(os.environ)
    with ExitStack() as ends:
        with interruption.deferred():
            clients = [ends.enter_context(Client(python, shell, stage.callers_home)) for shell in shells_of(stage)]
        tell("Starting the proxy, and loading the SDKs")
        for client in clients:
            client.wait_until_ready()
        stage.wait_until_ready()
        log = AccessLog(stage.proxy.log_file)
        for client in clients:
            for step in client.shell.steps:
                tell(f"{client.shell.caller} calls {step.call}")
                yield _make(stage, client, step, log)


def shells_of(stage: Stage) -> tuple[Shell, ...]:
    """The cast, placed on this stage."""
    return cast(place_of(stage), curl=shutil.which("curl") is not None)


def _make(stage: Stage, client: Client, step: Step, log: AccessLog) -> Outcome:
    if step.revoke:
        stage.revoke(client.shell.caller)
        time.sleep(REVOKED_WITHIN)
    log.take()
    before = len(stage.emulators.requests())
    report = client.call(step)
    access = log.of(report.request_id, report.status)
    arrived = stage.emulators.requests()[before:]
    return judge(client.shell, step, report, access, arrived, stage.emulators.credentials)
