"""Runs the probe of a stack through a witness, and tells apart what a client can do wrong."""

from __future__ import annotations

import os
import re
import signal
import ssl
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from llmauth.clients.served import ServedProxy
from llmauth.clients.trust import write_trust
from llmauth.clients.variables import environment, secret_names
from llmauth.doctor.findings import Finding, fail, ok, warn
from llmauth.doctor.stacks.stack import Place, Program, Stack
from llmauth.doctor.stacks.witness import Witness
from llmauth.secrets import Secret

CHECKUP = "/.well-known/llmauth"
_RUN = "llmauth run -- YOUR COMMAND"
_DISTRUST = re.compile(
    r"certificate|CERTIFICATE|PKIX|SSL_ERROR|unknown ca|self.signed|UNABLE_TO_|issuer|x509|verify (failed|error)"
)
_REFUSED = re.compile(r"\b(401|407)\b|[Uu]nauthori[sz]ed|invalid_api_key|Proxy Authentication Required|CONNECT.*407")
_WAYS = frozenset({"HTTPS_PROXY", "https_proxy"})
# Where users put whole header fields, and what stands in the place of a key.
_CARRIERS = frozenset(
    {
        *(
            "OPENAI_CUSTOM_HEADERS",
            "ANTHROPIC_CUSTOM_HEADERS",
            "OPENAI_ADMIN_KEY",
            "OPENAI_ORG_ID",
            "OPENAI_PROJECT_ID",
        ),
        *("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AZURE_OPENAI_AD_TOKEN"),
    }
)
_SHOWN = 160
_MOST = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxied:
    """The proxy that is asked through, a host whose tunnels it ends, and the session that is shown to it.

    `restricted` says that the session may use nothing; `tls` is how the proxy's own port is spoken to, None in plain.
    """

    host: str
    port: int
    target: str
    authority_pem: str
    credential: Secret | None
    served: ServedProxy
    restricted: bool = False
    tls: ssl.SSLContext | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Done:
    output: str
    errors: str
    late: bool


def probed(stack: Stack, proxied: Proxied, environ: dict[str, str]) -> Finding:
    """What came of it; blocks for the stack's limit at most, and leaves nothing behind."""
    with (
        tempfile.TemporaryDirectory(prefix="llmauth-doctor-") as folder,
        Witness(proxied.host, proxied.port, proxied.tls) as witness,
    ):
        place = _place(proxied, witness, Path(folder), environ)
        program = stack.program(place)
        done = _run(program, place, stack.limit)
        witness.settle()
        return _judged(stack, proxied, program, witness, done)


def _place(proxied: Proxied, witness: Witness, folder: Path, environ: dict[str, str]) -> Place:
    trust = folder / "trust"
    trust.mkdir(mode=0o700)
    served = ServedProxy(
        url=f"http://127.0.0.1:{witness.port}",
        user="llmauth-doctor",
        instances=proxied.served.instances,
        authenticates=proxied.served.authenticates,
    )
    files = write_trust(trust, proxied.authority_pem, environ)
    child = _without_keys(environment(served, proxied.credential, files, environ), proxied.credential)
    work = folder / "work"
    work.mkdir()
    url = f"https://{proxied.target}{CHECKUP}"
    return Place(url=url, host=proxied.target, proxy_port=witness.port, folder=work, environ=child)


def _without_keys(child: Mapping[str, str], credential: Secret | None) -> dict[str, str]:
    """The user's own keys are no client's to show to a host that the probe has chosen, should it miss the proxy."""
    ours = credential.reveal() if credential is not None else None
    slots = (secret_names() | _CARRIERS) - _WAYS
    return {name: value for name, value in child.items() if name not in slots or (ours is not None and ours in value)}


def _run(program: Program, place: Place, limit: float) -> _Done:
    process = subprocess.Popen(
        list(program.command),
        env=dict(place.environ),
        cwd=place.folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # A group of its own, so that what it started ends with it.
        start_new_session=True,
    )
    late = False
    try:
        output, errors = process.communicate(program.stdin.encode(), timeout=limit)
    except subprocess.TimeoutExpired:
        late = True
        _end(process)
        output, errors = process.communicate()
    return _Done(output=_text(output), errors=_text(errors), late=late)


def _end(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _text(data: bytes) -> str:
    return data[:_MOST].decode("utf-8", "replace")


def _judged(stack: Stack, proxied: Proxied, program: Program, witness: Witness, done: _Done) -> Finding:
    seen = [one for one in witness.seen if one.target == f"{proxied.target}:443"]
    said = done.output + done.errors
    if program.answer in said and seen:
        return ok(stack.name) if stack.older is None else warn(f"{stack.name}: {stack.older}", stack.older_fix)
    if not witness.connections:
        what = f"{stack.name}: {stack.older or f'ignores {stack.way}'}"
        return fail(what, stack.older_fix or f"{stack.way}, as it is set by: {_RUN}")
    if any(one.status == 407 for one in seen) or (seen and _REFUSED.search(said) and not _DISTRUST.search(said)):
        return fail(f"{stack.name}: lost the credential", f"{stack.slot} with the key in it, as set by: {_RUN}")
    if seen and _DISTRUST.search(said):
        return fail(f"{stack.name}: does not trust the CA", f"{stack.trust}, as it is set by: {_RUN}")
    if done.late:
        return fail(f"{stack.name}: no answer within {stack.limit:g} s", f"update {stack.name}, and use {_RUN}")
    last = _last_line(done, proxied.credential)
    return fail(f"{stack.name}: {last}", f"mend what it says, or look at its own settings; then: {_RUN}")


def _last_line(done: _Done, credential: Secret | None) -> str:
    """The last thing that the client said, without what was lent to it and without what a terminal would obey."""
    text: str = done.errors.strip() or done.output.strip() or "no answer"
    lines: Sequence[str] = text.splitlines()
    line = lines[-1]
    if credential is not None:
        line = line.replace(credential.reveal(), "********")
    line = re.sub(r"llmauth_[A-Za-z0-9_]+", "********", line)
    return "".join(one if one.isprintable() else " " for one in line)[:_SHOWN]
