"""As whom this pod works: its role and how it got it, and the tokens that it shows for that."""

from __future__ import annotations

from collections.abc import Iterator

from llmauth.doctor.credentials import standing
from llmauth.doctor.findings import Finding, fail, ok, skip, warn
from llmauth.doctor.patient import Patient
from llmauth.doctor.wording import span
from llmauth.platform import NAMES, Platform, tokens
from llmauth.platform.detector import detect
from llmauth.platform.signals import SERVICE_ACCOUNT

WEB_TOKEN, ROLE = "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN"
AGENT, AGENT_TOKEN = "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"
_AZURE_TOKEN = "AZURE_FEDERATED_TOKEN_FILE"
# For whom each of these tokens is, as the service that takes it wants.
_AUDIENCES = {
    WEB_TOKEN: "sts.amazonaws.com",
    AGENT_TOKEN: "pods.eks.amazonaws.com",
    _AZURE_TOKEN: "api://AzureADTokenExchange",
}
_REMOUNT = "mount it as a projected volume and not by subPath, which is never renewed; then restart the pod"


def platform_of(patient: Patient) -> Platform:
    """Where this is, asked once."""
    section = patient.settings.platform
    return patient.once("platform", lambda: detect(patient.machine, section.type, section.switched()))


def examine(patient: Patient) -> Iterator[Finding]:
    """Outside of a pod nothing of it is looked at."""
    platform = platform_of(patient)
    if not platform.in_kubernetes:
        what = f"this is no pod (platform: {platform.name})"
        yield warn(what, "kubectl exec deploy/bedrock-proxy -- llmauth doctor --k8s")
        return
    yield from _role(patient, platform)
    yield from _tokens(patient)


def _role(patient: Patient, platform: Platform) -> Iterator[Finding]:
    environ = patient.environ
    if environ.get(WEB_TOKEN) and environ.get(ROLE):
        yield ok(f"role {environ[ROLE]} via IRSA")
    elif environ.get(WEB_TOKEN):
        yield fail(
            f"{WEB_TOKEN} is set, and {ROLE} is not",
            "kubectl annotate serviceaccount NAME eks.amazonaws.com/role-arn=ARN",
        )
    elif environ.get(AGENT):
        yield ok(f"role via Pod Identity{_told_by_agent(patient)}")
    elif platform.workload:
        clouds = ", ".join(NAMES[cloud] for cloud in sorted(platform.workload))
        yield ok(f"workload identity of {clouds} ({platform.name})")
    elif any(handler.provider == "bedrock" for handler in patient.handlers.values()):
        fix = "kubectl annotate serviceaccount NAME eks.amazonaws.com/role-arn=ARN, then restart the pod"
        yield warn("no role: neither IRSA nor Pod Identity is set up for this service account", fix)
    else:
        yield skip("no workload identity of a cloud")


def _told_by_agent(patient: Patient) -> str:
    """What the agent gave is known where somebody asked it."""
    bedrock = (name for name, handler in patient.handlers.items() if handler.provider == "bedrock")
    told = (standing(patient).get(name) for name in bedrock)
    labels = [one["strategy"] for one in told if one is not None and one["strategy"]]
    return f" ({labels[0]})" if labels else ""


def _tokens(patient: Patient) -> Iterator[Finding]:
    own = patient.machine.read(f"{SERVICE_ACCOUNT}/token")
    if own:
        yield _judged(patient, "service account token", own, None)
    for variable, audience in _AUDIENCES.items():
        file = patient.environ.get(variable)
        if not file:
            continue
        text = patient.machine.read(file)
        if not text:
            yield fail(f"{variable} names {file}, which cannot be read", _REMOUNT)
        else:
            yield _judged(patient, f"token for {audience}", text, audience)


def _judged(patient: Patient, what: str, text: str, audience: str | None) -> Finding:
    """By what it says of itself; whoever takes it looks at its signature."""
    if audience is not None and audience not in tokens.audiences(text):
        found = ", ".join(sorted(tokens.audiences(text))) or "nobody"
        fix = f"serviceAccountToken: {{audience: {audience}}} in the projected volume"
        return fail(f"{what} is for {found[:80]}", fix)
    claims, now = tokens.claims(text), patient.wall()
    begun, ends = claims.get("iat"), claims.get("exp")
    if not isinstance(ends, int | float) or isinstance(ends, bool):
        return skip(f"{what}: it names no end")
    if ends <= now:
        return fail(f"{what} ended {span(now - ends)} ago", _REMOUNT)
    age = f", {span(now - begun)} old" if isinstance(begun, int | float) else ""
    return ok(f"{what}{age}, ends in {span(ends - now)}")
