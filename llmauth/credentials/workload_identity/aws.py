"""AWS credentials of the workload itself: IRSA, Pod Identity, ECS, Lambda, and on an EC2 machine its own profile."""

from __future__ import annotations

import re
import time
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from llmauth.credentials.base import Options, Surroundings
from llmauth.credentials.fields import credential_at
from llmauth.credentials.workload_identity import aws_container, aws_instance
from llmauth.credentials.workload_identity.aws_answers import keys, refusals
from llmauth.credentials.workload_identity.label import label_of
from llmauth.credentials.workload_identity.node import check_node, node_refused, not_available
from llmauth.credentials.workload_identity.token_file import token_of
from llmauth.outbound import Outbound, aws
from llmauth.secrets import AwsKeys, Loaded, Secret
from llmauth.sources import SourceFailed, SourceUnavailable

# For all calls of a load together; less than its deadline, so that the reason told is the real one.
TIME_LIMIT = 3.5

_WEB_TOKEN = "AWS_WEB_IDENTITY_TOKEN_FILE"
_FUNCTION = "AWS_LAMBDA_FUNCTION_NAME"
# What tells of an identity of our own, and where the machine's may be asked for.
_OWN = (_WEB_TOKEN, aws_container.RELATIVE, aws_container.FULL)
_ENDPOINTS = (aws_instance.ENDPOINT,)
# Lambda gives a function the keys of its role, for as long as the function lives.
_FUNCTION_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
# Where the tokens of a partition are exchanged, when no region of it is named.
_FIRST_REGION = {
    "aws": "us-east-1",
    "aws-cn": "cn-north-1",
    "aws-us-gov": "us-gov-west-1",
    "aws-eusc": "eusc-de-east-1",
}

_ROLE_ARN = r"^arn:aws[a-z0-9-]*:iam::[0-9]{12}:role/[A-Za-z0-9_+=,.@/-]{1,512}$"
_RoleArn = Annotated[str, Field(pattern=_ROLE_ARN)]
_ExternalId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_+=,.@:/-]{2,1224}$")]
_SessionName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_+=,.@-]{2,64}$")]


class AwsWorkloadIdentityOptions(Options):
    """`{type: workload_identity, provider: aws}`; with `role_arn`, that role is assumed with the identity found.

    `allow_node_identity` unset: the machine's instance profile is used outside of Kubernetes only, as in a pod it is
    the node's identity and not the pod's. True uses it there as well, false nowhere.
    """

    type: Literal["workload_identity"] = "workload_identity"
    provider: Literal["aws"] = "aws"
    role_arn: _RoleArn | None = None
    external_id: _ExternalId | None = None
    session_name: _SessionName | None = None
    allow_node_identity: bool | None = None

    @model_validator(mode="after")
    def _external_id_has_its_role(self) -> Self:
        if self.external_id is not None and self.role_arn is None:
            raise ValueError("`external_id` is shown when `role_arn` is assumed; give both")
        return self


class AwsWorkloadIdentity:
    """Every load really fetches, so that what is leased has proved itself; keeping it is the cache's work."""

    def __init__(self, options: AwsWorkloadIdentityOptions, surroundings: Surroundings) -> None:
        self._options = options
        self._environ = surroundings.environ
        self._surroundings = surroundings
        self.label = label_of("aws", surroundings.platform)
        self._session_name = options.session_name or _session_name(surroundings)

    def unavailable(self) -> str | None:
        if self._has_own() and self._surroundings.platform.switched.get("aws", True):
            return None
        refused = node_refused("aws", self._surroundings, self._options.allow_node_identity, _ENDPOINTS)
        off = aws_instance.switched_off(self._environ)
        return refused or (f"{not_available('aws', self._surroundings)}: {off}" if off else None)

    def load(self) -> Loaded:
        reason = self.unavailable()
        if reason is not None:
            raise SourceUnavailable(reason)
        return _Load(self._options, self._surroundings, self._session_name).made()

    def _has_own(self) -> bool:
        return any(map(self._environ.get, _OWN)) or _is_function(self._surroundings)


class _Load:
    """One load: whoever is asked in it, all of them share its time."""

    def __init__(self, options: AwsWorkloadIdentityOptions, surroundings: Surroundings, session_name: str) -> None:
        self._options = options
        self._surroundings = surroundings
        self._environ = surroundings.environ
        self._session_name = session_name
        self._ends = time.monotonic() + TIME_LIMIT

    def made(self) -> Loaded:
        """In the order of AWS's own tools; a source that is set up and broken ends the search, as it was meant."""
        return self._assumed(self._web_identity() or self._container() or self._function() or self._instance_profile())

    def _web_identity(self) -> Loaded | None:
        token_file = self._environ.get(_WEB_TOKEN)
        if not token_file:
            return None
        role = self._role_of_token()
        # Read at every load: Kubernetes rotates the token at 80 % of its life.
        token = token_of(token_file, _WEB_TOKEN)
        operation = "AssumeRoleWithWebIdentity"
        with refusals(operation):
            answer = self._sts(role, keys=None).assume_role_with_web_identity(
                RoleArn=role, RoleSessionName=self._session_name, WebIdentityToken=token
            )
        return keys(answer.get("Credentials"), "SessionToken", f"web identity {role}", operation)

    def _role_of_token(self) -> str:
        role = self._environ.get("AWS_ROLE_ARN") or self._options.role_arn
        if not role:
            raise SourceFailed(f"{_WEB_TOKEN} is set and names no role: set AWS_ROLE_ARN or role_arn")
        if not re.fullmatch(_ROLE_ARN, role):
            raise SourceFailed("AWS_ROLE_ARN is no ARN of a role: arn:aws:iam::123456789012:role/NAME")
        return role

    def _container(self) -> Loaded | None:
        return aws_container.load(self._environ, self._outbound())

    def _function(self) -> Loaded | None:
        if not _is_function(self._surroundings):
            return None
        place = f"Lambda function {self._environ[_FUNCTION]}"
        fields = {name: Secret(self._environ[name]) for name in _FUNCTION_KEYS}
        return Loaded(credential=credential_at(place, fields, "bedrock"), source=place)

    def _instance_profile(self) -> Loaded:
        here = self._surroundings
        check_node("aws", here, self._options.allow_node_identity, _ENDPOINTS)
        absent = not_available("aws", here)
        return aws_instance.InstanceMetadata(self._environ, here.outbound, self._left, absent).load()

    def _assumed(self, loaded: Loaded) -> Loaded:
        """With the role on top, where one is configured."""
        role = self._options.role_arn
        if role is None or loaded.source == f"web identity {role}":
            return loaded
        assert isinstance(loaded.credential, AwsKeys)
        wanted = {"RoleArn": role, "RoleSessionName": self._session_name}
        if self._options.external_id is not None:
            wanted["ExternalId"] = self._options.external_id
        with refusals("AssumeRole"):
            answer = self._sts(role, keys=loaded.credential).assume_role(**wanted)
        return keys(answer.get("Credentials"), "SessionToken", f"role {role} by {loaded.source}", "AssumeRole")

    def _sts(self, role: str, keys: AwsKeys | None) -> Any:
        region = region_for(role, self._surroundings)
        return aws.client("sts", self._outbound(), self._environ, region=region, keys=keys)

    def _outbound(self) -> Outbound:
        return self._surroundings.outbound.within(self._left())

    def _left(self) -> float:
        left = self._ends - time.monotonic()
        if left <= 0:
            raise SourceFailed(f"AWS was asked for a workload identity for longer than {TIME_LIMIT:g} s")
        return max(0.1, round(left, 1))  # as it is told


def region_for(role: str, surroundings: Surroundings) -> str:
    """Where a role is asked for: in the region of this process, as far as that is in the role's partition.

    The STS of another partition (China, GovCloud, Europe's own) knows neither the role nor its keys.
    """
    environ = surroundings.environ
    partition = role.split(":")[1]
    named = [environ.get("AWS_REGION"), environ.get("AWS_DEFAULT_REGION"), surroundings.region]
    for region in filter(None, named):
        if aws.partition_of(region) == partition:
            return region
    if partition in _FIRST_REGION:
        return _FIRST_REGION[partition]
    raise SourceFailed(f"the role is of the partition {partition}: set AWS_REGION to one of its regions")


def _is_function(surroundings: Surroundings) -> bool:
    return all(map(surroundings.environ.get, (_FUNCTION, *_FUNCTION_KEYS)))


def _session_name(surroundings: Surroundings) -> str:
    given = surroundings.environ.get("AWS_ROLE_SESSION_NAME", "")
    return given if re.fullmatch(r"[\w+=,.@-]{2,64}", given, re.ASCII) else f"llmauth-{surroundings.instance}"[:64]
