"""The whole life of several serving processes: what they share is read and opened, then the parent watches them."""

from __future__ import annotations

import functools
import gc
import logging
import os
import socket
import sys
from collections.abc import Mapping
from types import MappingProxyType

from addons.launch.listeners import listeners
from addons.launch.reload import reader_of
from addons.launch.serve import tell_doors
from addons.launch.workers.limits import count_limits, socket_path
from addons.launch.workers.parent import Parent
from addons.launch.workers.reloading import Reloading
from addons.launch.workers.sockets import open_doors
from addons.launch.workers.worker import Shared, work
from llmauth.config.failures import explained
from llmauth.config.settings import Settings
from llmauth.gateway.seat import Seat
from llmauth.storage.home import prepare
from llmauth.telemetry import logs

logger = logging.getLogger(__name__)


def serve(
    settings: Settings,
    environ: Mapping[str, str],
    workers: int,
    started: float,
    *,
    overrides: Mapping[str, object] = MappingProxyType({}),
) -> int:
    """Serve with so many processes until a signal ends them; the exit status.

    `started` is the monotonic time at which the process began to, `overrides` what the command line says. Raises what
    keeps a server from starting, as that of one process does, as far as it can be known before; what a worker finds is
    said by it.
    """
    limits = socket_path(prepare(settings.home))
    ports = listeners(settings)
    read = reader_of(settings.files, environ, overrides)
    reloading = Reloading(settings, read)
    doors = open_doors(settings, ports)
    plan = Shared(settings=lambda: reloading.settings, read=read, environ=environ, ports=ports, doors=doors)
    # Held open by every worker and by no other process that lives without them.
    ended, alive = os.pipe()

    def helper(first: bool, line: socket.socket) -> int:
        logs.name_worker("limits")
        plan.doors.close()
        os.close(alive)
        try:
            count_limits(limits, ended, line)
        except OSError as error:
            status, sentence = explained(error)
            print(sentence, file=sys.stderr, flush=True)  # noqa: T201
            return status
        return 0

    lives = [
        functools.partial(work, plan, Seat(worker=number, workers=workers, limits=limits))
        for number in range(1, workers + 1)
    ]
    parent = Parent(
        lives,
        helper,
        limit=lambda: reloading.settings.server.drain_timeout,
        shut=plan.doors.close,
        reloading=reloading,
        ready=lambda: tell_doors(settings, ports, started, workers=workers),
    )
    # What was loaded so far is shared by all processes as long as nobody writes to it, which the collector does.
    gc.freeze()
    status = parent.run()
    logger.info("Stopped")
    return status
