"""All examinations, in the order in which they are shown: an addition is a file, and a line here."""

from __future__ import annotations

from collections.abc import Sequence

from llmauth.doctor import (
    authority,
    bedrock,
    clients,
    clock,
    configuration,
    credentials,
    limits,
    ports,
    programs,
    proxy,
    shell,
    state,
    team,
    upstream,
)
from llmauth.doctor.examining import Examination
from llmauth.doctor.pod import cluster, endpoints, identity, memory

EXAMINATIONS: Sequence[Examination] = (
    Examination(name="pod", about="its role, and its tokens", examine=identity.examine, limit=60, pod=True),
    Examination(name="endpoints", about="VPC endpoints of AWS", examine=endpoints.examine, limit=30, pod=True),
    Examination(name="cluster", about="API server, TokenReview", examine=cluster.examine, limit=15, pod=True),
    Examination(name="memory", about="memory limit of the pod", examine=memory.examine, pod=True),
    Examination(name="proxy", about="the proxy answers, and lets a key in", examine=proxy.examine, limit=20),
    Examination(name="joined", about="the proxy that was joined", examine=team.examine, limit=120),
    Examination(name="configuration", about="files and their warnings", examine=configuration.examine),
    Examination(name="state", about="state folder, keys, audit record", examine=state.examine, limit=30),
    Examination(name="ports", about="ours, free, or taken", examine=ports.examine),
    Examination(name="limits", about="open files", examine=limits.examine),
    Examination(name="ca", about="certificate authority", examine=authority.examine),
    Examination(name="clock", about="against a provider's time", examine=clock.examine, limit=30),
    Examination(name="clients", about="a request through each client stack", examine=clients.examine, limit=90),
    Examination(name="shell", about="variables of this shell", examine=shell.examine),
    Examination(name="programs", about="agents that run without a proxy", examine=programs.examine),
    Examination(name="upstream", about="each provider's host, and TLS", examine=upstream.examine, limit=30),
    Examination(name="credentials", about="each instance's credential", examine=credentials.examine, limit=60),
    Examination(name="bedrock", about="the four actions of IAM", examine=bedrock.examine, limit=90),
)

_OF_A_SHELL = ("joined", "clients", "shell", "programs")
"""A pod has neither users nor their clients."""


def chosen(only: Sequence[str], skipped: Sequence[str], *, pod: bool) -> Sequence[Examination]:
    """Those that are asked for; ValueError for a name that is none."""
    names = [one.name for one in EXAMINATIONS]
    unknown = [name for name in (*only, *skipped) if name not in names]
    if unknown:
        raise ValueError(f"no examination is called '{unknown[0][:40]}'; there are: {', '.join(names)}")
    if only:
        return [one for one in EXAMINATIONS if one.name in only]
    apart = _OF_A_SHELL if pod else [one.name for one in EXAMINATIONS if one.pod]
    return [one for one in EXAMINATIONS if one.name not in skipped and one.name not in apart]
