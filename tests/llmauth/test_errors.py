"""Every refusal: its status as the docstring's tree has it, its code and its fault as the README tells them."""

import re
from typing import get_args

import pytest

from llmauth import errors
from llmauth.errors import GatewayError, Unauthenticated

# class: status, code, whose fault, and whether the same call may help later
TABLE = {
    "GatewayError": (500, "internal_error", "proxy", False),
    "BadRequest": (400, "bad_request", "caller", False),
    "UnsupportedParameter": (400, "unsupported_parameter", "caller", False),
    "BodyTooLarge": (413, "request_too_large", "caller", False),
    "HeadTooLarge": (431, "headers_too_large", "caller", False),
    "MethodNotAllowed": (405, "method_not_allowed", "caller", False),
    "UpgradeRefused": (426, "upgrade_refused", "caller", False),
    "Misdirected": (421, "misdirected", "caller", False),
    "Unauthenticated": (401, "invalid_api_key", "caller", False),
    "SecondFactorRequired": (401, "second_factor_required", "caller", False),
    "Forbidden": (403, "forbidden", "policy", False),
    "HostNotServed": (403, "host_not_allowed", "policy", False),
    "ModelNotAllowed": (403, "model_not_allowed", "policy", False),
    "NotFound": (404, "not_found", "caller", False),
    "UnknownInstance": (404, "instance_not_found", "caller", False),
    "UnknownModel": (404, "model_not_found", "caller", False),
    "UnknownRequest": (404, "request_not_found", "caller", False),
    "RateLimited": (429, "rate_limit_exceeded", "policy", True),
    "InsufficientQuota": (429, "insufficient_quota", "policy", False),
    "InternalError": (500, "internal_error", "proxy", False),
    "NoCredential": (500, "credential_unavailable", "proxy", False),
    "InstanceIncomplete": (500, "instance_incomplete", "proxy", False),
    "CredentialRejected": (502, "credential_rejected", "proxy", False),
    "UpstreamProxyFailed": (502, "upstream_proxy_failed", "proxy", True),
    "UpstreamUnreachable": (502, "provider_unreachable", "provider", True),
    "BrokenAnswer": (502, "provider_answer_broken", "provider", True),
    "UpstreamError": (500, "provider_error", "provider", True),
    "UpstreamTimeout": (504, "provider_timeout", "provider", True),
    "Unavailable": (503, "unavailable", "proxy", True),
    "RequestTimeout": (408, "request_timeout", "caller", True),
    "Draining": (503, "draining", "proxy", True),
}
CLASSES = {
    name: each for name, each in vars(errors).items() if isinstance(each, type) and issubclass(each, GatewayError)
}


def test_the_table_is_complete():
    assert CLASSES.keys() == TABLE.keys()


@pytest.mark.parametrize("name", TABLE)
def test_status_code_and_fault(name):
    error = CLASSES[name]("Said.")
    assert (error.status, error.code, error.fault, error.retryable) == TABLE[name]


def test_the_docstring_is_the_tree():
    assert errors.__doc__
    above, drawn = ["GatewayError"], {}
    for line in errors.__doc__.splitlines():
        if found := re.match(r"([│ ]   )*[├└]── (\w+) (\d{3})", line):
            depth = line.index("──") // 4 + 1
            above[depth:] = [found[2]]
            drawn[found[2]] = (above[depth - 1], int(found[3]))
    assert drawn == {name: (each.__base__.__name__, each.status) for name, each in CLASSES.items() if name != above[0]}


def test_every_code_tells_one_thing():
    codes = [code for name, (_, code, _, _) in TABLE.items() if name != "GatewayError"]
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("name", TABLE)
def test_the_detail_is_for_the_log_alone(name):
    error = CLASSES[name]("No.", hint="Ask.", detail="canary")
    assert error.detail == "canary"
    assert error.sentence == "No. Ask."
    assert "canary" not in f"{error} {error!r} {error.sentence} {error.args}"
    assert CLASSES[name]("No.").sentence == "No."


def test_one_error_may_have_a_narrower_code():
    error = errors.RateLimited("Spent.", code="insufficient_quota", retry_after=60, close=True)
    assert (error.code, error.retry_after, error.close) == ("insufficient_quota", 60, True)
    assert errors.RateLimited("Slow.").code == "rate_limit_exceeded"


def test_a_wrong_credential_has_a_reason():
    assert Unauthenticated("No.").reason == "missing"
    assert errors.SecondFactorRequired("No.", reason="expired").reason == "expired"


CAUSES = {
    "invalid_request": (400, "invalid_request", "caller"),
    "content_filter": (400, "content_filter", "caller"),
    "permission": (403, "permission_denied", "provider"),
    "not_found": (404, "model_not_found", "caller"),
    "conflict": (409, "conflict", "caller"),
    "too_large": (413, "request_too_large", "caller"),
    "rate_limited": (429, "rate_limit_exceeded", "provider"),
    "quota": (429, "insufficient_quota", "provider"),
    "overloaded": (503, "overloaded", "provider"),
    "timeout": (504, "provider_timeout", "provider"),
    "server": (500, "provider_error", "provider"),
}


def test_every_cause_of_a_providers_refusal_is_told_apart():
    assert CAUSES.keys() == set(get_args(errors.Cause))


@pytest.mark.parametrize("cause", CAUSES)
def test_what_a_provider_refused_has_the_status_of_its_cause(cause):
    error = errors.UpstreamError("No.", cause=cause, param="messages", kept=((b"retry-after", b"2"),))
    assert (error.status, error.code, error.fault) == CAUSES[cause]
    assert (error.param, error.kept) == ("messages", ((b"retry-after", b"2"),))
    assert errors.UpstreamError("No.", cause=cause, code="their_own").code == "their_own"
