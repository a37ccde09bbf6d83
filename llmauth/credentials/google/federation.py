"""Federation: a token that somebody else gave this workload, exchanged for one of Google's, as a credential file says.

The file is named by the environment and so is the operator's: it may say what is read. It may not say where a token
goes: that is one of the addresses which `calls` knows.
"""

from __future__ import annotations

import ipaddress
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from llmauth.credentials.base import Surroundings
from llmauth.credentials.environment import EnvironmentOptions, EnvironmentStrategy
from llmauth.credentials.google.calls import Calls, impersonated
from llmauth.credentials.google.grants import SCOPE, Grant, granted
from llmauth.credentials.workload_identity.aws import AwsWorkloadIdentity, AwsWorkloadIdentityOptions
from llmauth.outbound import METADATA
from llmauth.secrets import AwsKeys
from llmauth.sources import SourceFailed, SourceUnavailable

_UNIVERSE = "googleapis.com"
_STS = "https://sts.googleapis.com/v1/token"
_IMPERSONATION = "service_account_impersonation_url"
_PASSED = ("audience", "subject_token_type", "client_id", "client_secret", "workforce_pool_user_project")


def federated(info: Mapping[str, Any], surroundings: Surroundings) -> Grant:
    """The token that a file of type external_account leads to; all that it names is read anew. Raises SourceFailed."""
    calls = Calls(surroundings.outbound)
    credentials = _built(info, _source(info, surroundings, calls))
    return granted(credentials, calls)


def account_of(info: Mapping[str, Any]) -> str | None:
    """The service account that is impersonated, `None` where the identity of the pool is used itself."""
    return None if info.get(_IMPERSONATION) is None else impersonated(info[_IMPERSONATION])


def _built(info: Mapping[str, Any], supplier: Any) -> Any:
    """Credentials of google-auth, made without asking anybody: what loads a file for itself would exchange a token."""
    from google.auth import aws, identity_pool

    if info.get("universe_domain", _UNIVERSE) != _UNIVERSE:
        raise SourceFailed(f"its universe_domain is another than {_UNIVERSE}, which is the only one that is served")
    account_of(info)
    fields = {name: info.get(name) for name in _PASSED} | {
        "token_url": info.get("token_url") or _STS,
        "service_account_impersonation_url": info.get(_IMPERSONATION),
        "service_account_impersonation_options": info.get("service_account_impersonation"),
        "scopes": [SCOPE],
    }
    is_aws = isinstance(supplier, _AwsSource)
    name = "aws_security_credentials_supplier" if is_aws else "subject_token_supplier"
    make: Any = aws.Credentials if is_aws else identity_pool.Credentials
    try:
        return make(**fields, **{name: supplier})
    except Exception as error:
        raise SourceFailed(f"the external_account file cannot be used: {type(error).__name__}; is it whole?") from None


def _source(info: Mapping[str, Any], surroundings: Surroundings, calls: Calls) -> Any:
    source = info.get("credential_source")
    if not isinstance(source, dict):
        raise SourceFailed("the external_account file has no credential_source")
    if "executable" in source:
        raise SourceFailed(
            "the external_account file wants a program to be run, and none is run here: have it write the token into a "
            "file, and name that in credential_source"
        )
    if "environment_id" in source:
        return _AwsSource(surroundings)
    kinds = [kind for kind in ("file", "url") if isinstance(source.get(kind), str) and source[kind]]
    if len(kinds) != 1 or "certificate" in source:
        raise SourceFailed("the credential_source of the external_account file is none of file, url and AWS")
    return _FileSource(source, surroundings) if kinds == ["file"] else _UrlSource(source, surroundings, calls)


@dataclass(frozen=True, slots=True)
class _FileSource:
    """A token in a file, read for each exchange: Kubernetes rotates it."""

    source: Mapping[str, Any]
    surroundings: Surroundings

    def get_subject_token(self, context: Any, request: Any) -> str:
        text = self.surroundings.machine.read(os.path.abspath(self.source["file"]))
        if text is None:
            raise SourceFailed("the file with the token, which the external_account file names, cannot be read")
        return _token(text, self.source, "the file with the token")


@dataclass(frozen=True, slots=True)
class _UrlSource:
    """A token that is asked for: of a service on this machine, of its metadata service, or by HTTPS of another."""

    source: Mapping[str, Any]
    surroundings: Surroundings
    calls: Calls

    def get_subject_token(self, context: Any, request: Any) -> str:
        url, outbound = self.source["url"], self.surroundings.outbound
        if url.startswith("http://"):
            if not _is_near(urlsplit(url).hostname):
                raise SourceFailed(
                    "the url of the external_account file is asked in clear text only of an address of this machine "
                    "(127.0.0.1, 169.254.169.254); any other must begin with https://"
                )
            outbound = outbound.trusting(METADATA)
        headers = self.source.get("headers") or {}
        if not isinstance(headers, dict):
            raise SourceFailed("the headers in the credential_source of the external_account file are no mapping")
        answer = self.calls.ask(outbound, "GET", url, {str(name): str(value) for name, value in headers.items()})
        if answer.status != 200:
            raise SourceFailed(f"the url that the external_account file names gave no token: status {answer.status}")
        return _token(answer.body.decode("utf-8", "replace"), self.source, "the answer with the token")


def _is_near(host: str | None) -> bool:
    try:
        address = ipaddress.ip_address(host or "")
    except ValueError:
        return False
    return address.is_loopback or address.is_link_local


def _token(text: str, source: Mapping[str, Any], what: str) -> str:
    """The token in a text, as the `format` of its source says."""
    form = source.get("format")
    told: object = text.strip()
    if isinstance(form, dict) and form.get("type") == "json":
        try:
            told = json.loads(text)[form["subject_token_field_name"]]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise SourceFailed(f"{what} is no JSON with the field that subject_token_field_name names") from None
    if not isinstance(told, str) or not told.isprintable() or not told:
        raise SourceFailed(f"{what} holds none")
    return told


@dataclass(frozen=True, slots=True)
class _AwsSource:
    """AWS keys, which sign the question who we are; Google asks it. Those of the pod, not only of the machine."""

    surroundings: Surroundings

    def get_aws_region(self, context: Any, request: Any) -> str:
        environ = self.surroundings.environ
        return environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or "us-east-1"

    def get_aws_security_credentials(self, context: Any, request: Any) -> Any:
        from google.auth.aws import AwsSecurityCredentials

        keys = self._keys()
        token = keys.session_token.reveal() if keys.session_token else None
        return AwsSecurityCredentials(keys.access_key_id, keys.secret_access_key.reveal(), token)

    def _keys(self) -> AwsKeys:
        here = replace(self.surroundings, provider="bedrock", region=None)
        reasons = []
        for strategy in (
            EnvironmentStrategy(EnvironmentOptions(), here),
            AwsWorkloadIdentity(AwsWorkloadIdentityOptions(), here),
        ):
            try:
                found = strategy.load().credential
            except SourceUnavailable as absent:
                reasons.append(absent.reason)
                continue
            if isinstance(found, AwsKeys):
                return found
        raise SourceFailed(f"the external_account file wants an identity of AWS: {'; '.join(reasons)}")
