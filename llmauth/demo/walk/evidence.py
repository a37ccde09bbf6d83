"""Holds what a caller saw, what the gateway logged and what the provider received against what must be."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from llmauth.demo.credentials import DemoCredentials
from llmauth.demo.recorder import Recorded
from llmauth.demo.walk.access import Access
from llmauth.demo.walk.client import Report
from llmauth.demo.walk.formats import faults
from llmauth.demo.walk.shells import Shell, Step

_SIGNED = re.compile(r"AWS4-HMAC-SHA256 Credential=([^/]+)/\d{8}/([^/]+)/([^/]+)/aws4_request,")
# What stands before the secret part of a key of OpenAI's or Anthropic's, and of a token of Google's.
_KIND = re.compile(r"sk-(?:ant-)?(?:demo-)?|ya29\.")
_CREDENTIALS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "LLMAUTH_KEY")


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """The credential in a request, as the provider met it, without its secret part; `real` if it is the provider's.

    `path` is where the provider received it, without the query.
    """

    text: str
    real: bool
    path: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One call from all three sides, and in `problems` whatever was not as it must be."""

    shell: Shell
    step: Step
    report: Report
    access: Access | None
    received: Received | None
    problems: tuple[str, ...]

    @property
    def refused(self) -> bool:
        """Whether this call was meant to be refused."""
        return self.step.status >= 400


def judge(
    shell: Shell,
    step: Step,
    report: Report,
    access: Access | None,
    arrived: Sequence[Recorded],
    credentials: DemoCredentials,
) -> Outcome:
    """`arrived` are the requests that any provider received while the call was made."""
    received = received_by(arrived[-1], credentials) if arrived else None
    problems = [*_seen_by_caller(step, report), *_logged(shell, step, access)]
    if step.status >= 400:
        problems += ["a provider received the call that was to be refused"] if arrived else []
    elif step.ours:
        problems += ["a provider received the call that the gateway was to answer"] if arrived else []
    else:
        problems += _met_by_provider(access, arrived, received)
        problems += _as_wanted(step, access, arrived)
    problems += [f"{name} of the caller reached the provider" for name in leaked(shell.variables, arrived)]
    return Outcome(shell=shell, step=step, report=report, access=access, received=received, problems=tuple(problems))


def _seen_by_caller(step: Step, report: Report) -> Iterable[str]:
    if report.status != step.status:
        said = f", {report.error}" if report.error else ""
        yield f"expected status {step.status}, got {report.status or 'none'}{said}"
    elif step.status == 200 and report.error is not None:
        yield report.error
    elif step.status == 200 and not report.text:
        yield "the answer was empty"
    elif step.status == 200 and step.answer and report.text != step.answer:
        yield f"expected the answer {step.answer!r}, got {report.text[:200]!r}"


def _logged(shell: Shell, step: Step, access: Access | None) -> Iterable[str]:
    if access is None:
        yield "the gateway's access log has no line of it"
    elif step.status == 200 and access.user != shell.caller:
        yield f"the access log has it under {access.user!r}"
    elif step.status == 200 and not step.ours and access.overhead_ms is None:
        yield "the access log has no overhead of it"


def _met_by_provider(access: Access | None, arrived: Sequence[Recorded], received: Received | None) -> Iterable[str]:
    if received is None:
        yield "no provider received it"
    elif len(arrived) > 1:
        yield f"the providers received it {len(arrived)} times"
    elif not received.real:
        yield f"the provider received {received.text}, which is not its credential"
    elif access is not None and arrived[-1].values("x-request-id") != [access.request_id.encode()]:
        yield "the provider received another request id than the access log has"


def _as_wanted(step: Step, access: Access | None, arrived: Sequence[Recorded]) -> Iterable[str]:
    """What is to be said of a call of protocol mode: who answered it, and in whose format that provider was asked."""
    wanted = step.spoken.wanted if step.spoken is not None else None
    if wanted is None:
        return
    if access is not None and access.instance != wanted.instance:
        yield f"{access.instance} paid instead of {wanted.instance}"
    if arrived:
        yield from faults(wanted, arrived[-1])


def leaked(variables: Mapping[str, str], arrived: Iterable[Recorded]) -> list[str]:
    """Names of the caller's variables whose credential stands anywhere in these requests."""
    held = {name: variables[name] for name in _CREDENTIALS if name in variables}
    if proxy := variables.get("HTTPS_PROXY"):
        held["HTTPS_PROXY"] = proxy.partition("@")[0].rpartition(":")[2]
    whole = b"".join(record.head + record.body for record in arrived)
    return [name for name, value in held.items() if value.encode() in whole]


def received_by(record: Recorded, credentials: DemoCredentials) -> Received:
    """The credential of a request, whichever header carries it, and where it went."""
    text, real = _credential_of(record, credentials)
    return Received(text=text, real=real, path=record.target.decode("latin-1").partition("?")[0])


def _credential_of(record: Recorded, credentials: DemoCredentials) -> tuple[str, bool]:
    authorization = b"".join(record.values("authorization")).decode("latin-1")
    key = b"".join(record.values("x-api-key")).decode("latin-1")
    if signed := _SIGNED.match(authorization):
        # The emulator has verified the signature; that it is the right key's is seen by its id.
        access_key_id, region, service = signed.groups()
        real = access_key_id == credentials.aws_access_key_id and not key
        return f"SigV4 {access_key_id[:4]}… {region}/{service}", real
    if authorization.startswith("Bearer "):
        token = authorization.removeprefix("Bearer ")
        own = credentials.google_token if record.host.endswith(".googleapis.com") else credentials.openai_key
        return f"Bearer {masked(token)}", token == own and not key
    if key:
        return f"x-api-key {masked(key)}", key == credentials.anthropic_key and not authorization
    return "no credential", False


def masked(secret: str) -> str:
    """`sk-demo-…Ab12`: what kind of key, and enough of its end to tell it from another."""
    kind = _KIND.match(secret)
    return f"{kind[0] if kind else ''}…{secret[-4:]}" if len(secret) > 24 else f"{secret[:4]}…"
