"""Which of the actions that Bedrock needs a role may do, told without a token being paid for.

IAM is asked first what it would say (SimulatePrincipalPolicy). Where the role may not ask that, each action is tried
in a form that costs nothing: two of them are free, and the two that run a model get a body that no model takes. AWS
looks at the permission before it looks at the body: a refusal is 403 AccessDeniedException, anything else means that
the action is allowed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from llmauth.errors import GatewayError
from llmauth.http import Door, Headers, Request
from llmauth.outbound import Outbound, aws
from llmauth.providers.base import ProviderHandler
from llmauth.providers.speaking import quoted
from llmauth.secrets import AwsKeys, Credential

ACTIONS = (
    "bedrock:InvokeModel",
    "bedrock:InvokeModelWithResponseStream",
    "bedrock:ListFoundationModels",
    "bedrock:GetFoundationModel",
)
ANY_MODEL = "anthropic.claude-3-haiku-20240307-v1:0"
"""Asked for where the configuration names none: most accounts can see it."""

TIME_LIMIT = 6.0
_MOST = 2 * 1024 * 1024
# A body that no model takes: it is refused as invalid after the permission was looked at, and nothing is run.
_NO_BODY = b"{}"
_ASSUMED = re.compile(r"arn:(aws[a-z-]*):sts::(\d{12}):assumed-role/([\w+=,.@-]+)/.*")
_USER = re.compile(r"User: (arn:[\w:/+=,.@-]{1,600}) is not authorized")
_DENIED_ACTION = re.compile(r"not authorized to perform: (bedrock:\w+)")
_NOT_OF_IAM = re.compile(r"don't have access to the model|model access|marketplace", re.IGNORECASE)

State = Literal["allowed", "denied", "no_model_access", "unknown"]
Way = Literal["simulation", "probe"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """What came of one action: `way` says how it was found out, `reason` why it is not known or is
    denied; `principal` is whom the refusal named."""

    action: str
    state: State
    way: Way
    reason: str = ""
    principal: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Permissions:
    """All four; `principal` is the role or user, empty where nobody told, `model` what was asked for."""

    principal: str
    model: str
    actions: tuple[Permission, ...]


def permissions(
    handler: ProviderHandler, credential: Credential, outbound: Outbound, environ: Mapping[str, str], model: str
) -> Permissions:
    """The four, by simulation as far as it allows them, else by probes; blocks for half a minute at most.

    IAM judges a policy, and an endpoint or an organisation may say otherwise than it foresees: what it does not call
    allowed is tried, and the provider's own word counts. Never raises for a refusal.
    """
    principal, simulated = "", dict[str, str]()
    if isinstance(credential, AwsKeys):
        principal, simulated = _simulation(handler, credential, outbound.within(TIME_LIMIT / 2), environ, model)
    found = [_told(action, simulated.get(action), handler, credential, outbound, model) for action in ACTIONS]
    named = principal or next((one.principal for one in found if one.principal), environ.get("AWS_ROLE_ARN", ""))
    return Permissions(principal=named, model=model, actions=tuple(found))


def _told(
    action: str, decision: str | None, handler: ProviderHandler, credential: Credential, outbound: Outbound, model: str
) -> Permission:
    if decision == "allowed":
        return Permission(action=action, state="allowed", way="simulation")
    probed = _probed(action, handler, credential, outbound, model)
    if probed.state == "unknown" and decision is not None:
        return Permission(action=action, state="denied", way="simulation", reason=_DECISIONS.get(decision, ""))
    return probed


# ---- simulated -----------------------------------------------------------------------------------------------------


def _simulation(
    handler: ProviderHandler, keys: AwsKeys, outbound: Outbound, environ: Mapping[str, str], model: str
) -> tuple[str, dict[str, str]]:
    """The principal's ARN, and what IAM says of it; nothing where it may not be asked, or cannot be reached."""
    region = handler.region or "us-east-1"
    principal = ""
    try:
        caller = aws.client("sts", outbound, environ, region=region, keys=keys).get_caller_identity()
        principal = role_of(str(caller["Arn"]))
        iam = aws.client("iam", outbound, environ, region=region, keys=keys)
        return principal, _simulated(iam, principal, _resource(principal, region, model))
    except Exception:
        # It may not be asked, cannot be reached, or answered what is no answer: then the actions are tried.
        return principal, {}


def role_of(arn: str) -> str:
    """The role of an assumed session, as IAM calls it; any other ARN as it is. A path of the role is not in it."""
    found = _ASSUMED.fullmatch(arn)
    return arn if found is None else f"arn:{found[1]}:iam::{found[2]}:role/{found[3]}"


def _resource(principal: str, region: str, model: str) -> str:
    partition = principal.split(":")[1]
    return model if model.startswith("arn:") else f"arn:{partition}:bedrock:{region}::foundation-model/{model}"


def _simulated(iam: Any, principal: str, resource: str) -> dict[str, str]:
    """The decision of each action. A list is of no resource, and the others are of the model."""
    decisions: dict[str, str] = {}
    listing = [action for action in ACTIONS if action.endswith(":ListFoundationModels")]
    for actions, of in ((listing, "*"), ([one for one in ACTIONS if one not in listing], resource)):
        told = iam.simulate_principal_policy(PolicySourceArn=principal, ActionNames=actions, ResourceArns=[of])
        decisions |= {one["EvalActionName"]: one["EvalDecision"] for one in told["EvaluationResults"]}
    return decisions


_DECISIONS = {"implicitDeny": "no policy allows it", "explicitDeny": "by an explicit deny of a policy"}


# ---- probed --------------------------------------------------------------------------------------------------------


def _probed(
    action: str, handler: ProviderHandler, credential: Credential, outbound: Outbound, model: str
) -> Permission:
    method, path = _CALLS[action][0], _CALLS[action][1].format(quoted(model))
    if method == "GET" and handler.options.base_url:
        reason = "the configured endpoint is that of the runtime, which does not serve it"
        return Permission(action=action, state="unknown", way="probe", reason=reason)
    body = _NO_BODY if method == "POST" else b""
    fields = [(b"accept", b"application/json"), (b"content-type", b"application/json")]
    if body:
        fields.append((b"content-length", str(len(body)).encode()))
    url = handler.forward(path, method)
    request = Request(method=method, url=url, headers=Headers(fields), door=Door.GATEWAY, body=body)
    try:
        answer = outbound.post(handler.authorize(request, credential), time_limit=TIME_LIMIT, most=_MOST)
    except GatewayError as error:
        return Permission(action=action, state="unknown", way="probe", reason=error.detail or error.message)
    state, reason = _judged(action, answer.status, answer.headers, answer.body)
    who = _USER.search(_message(answer.body)) if state == "denied" else None
    principal = role_of(who[1]) if who is not None else ""
    return Permission(action=action, state=state, way="probe", reason=reason, principal=principal)


_CALLS: Mapping[str, tuple[str, str]] = {
    ACTIONS[0]: ("POST", "/model/{}/invoke"),
    ACTIONS[1]: ("POST", "/model/{}/invoke-with-response-stream"),
    ACTIONS[2]: ("GET", "/foundation-models"),
    ACTIONS[3]: ("GET", "/foundation-models/{}"),
}


def _judged(action: str, status: int, headers: Headers, body: bytes) -> tuple[State, str]:
    name = (headers.get("x-amzn-errortype") or "").partition(":")[0].rpartition("#")[2]
    if status in (200, 400, 404, 424):
        return "allowed", ""
    if status == 403 and name == "AccessDeniedException":
        return _denied(action, _message(body))
    kind = name if re.fullmatch(r"[A-Za-z]{1,64}", name) else ""
    return "unknown", f"status {status} {kind}".strip()


def _denied(action: str, said: str) -> tuple[State, str]:
    """Of a model that was never enabled for the account AWS says the same name, and other words."""
    named = _DENIED_ACTION.search(said)
    if named is None and _NOT_OF_IAM.search(said):
        return "no_model_access", "the account has no access to this model"
    if "explicit deny" in said:
        return "denied", "by an explicit deny of a policy"
    if "no VPC endpoint policy" in said:
        return "denied", "by the policy of the VPC endpoint"
    return "denied", f"it lacks {named[1]}" if named is not None and named[1] != action else ""


def _message(body: bytes) -> str:
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    said = (told.get("message") or told.get("Message")) if isinstance(told, dict) else None
    return said[:1000] if isinstance(said, str) else ""
