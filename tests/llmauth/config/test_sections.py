"""The sections' own values: hosts, ports, lengths of time, and what is not available yet."""

import pytest
from pydantic import ValidationError

from llmauth.addresses import HostPort
from llmauth.config.sections import (
    LATER_METHODS,
    Auth,
    Egress,
    Log,
    MetricsListener,
    Server,
    Storage,
    Upstream,
)


def refusal(model, **values) -> str:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(values)
    return "; ".join(str(error["msg"]) for error in caught.value.errors())


@pytest.mark.parametrize(("written", "seconds"), [("90s", 90), ("2m", 120), ("1h", 3600), (5, 5), ("5", 5)])
def test_lengths_of_time(written, seconds):
    assert Server.model_validate({"drain_timeout": written}).drain_timeout == seconds


@pytest.mark.parametrize("written", ["", "x", "-5s", "1.5s", "٥s", True, None, 0, "0s", ["5s"], 1e300])
def test_what_is_no_length_of_time(written):
    assert refusal(Server, drain_timeout=written)


def test_hosts_are_normalised():
    upstream = Upstream.model_validate(
        {"resolve": {"API.OpenAI.com.": "127.0.0.1:9443", "b.example": "[::1]:1", "c.example": "vpce.example"}}
    )
    assert upstream.resolve == {
        "api.openai.com": HostPort("127.0.0.1", 9443),
        "b.example": HostPort("::1", 1),
        "c.example": HostPort("vpce.example", 443),
    }
    assert Server.model_validate({"gateway_hosts": ["LLM.internal"]}).gateway_hosts == ("llm.internal",)


@pytest.mark.parametrize("host", ["a b", "", "user@host", "a%2e", "10.0.0.1", "127.1", "0x7f000001", "::1", 7, None])
def test_what_is_no_host_name(host):
    assert refusal(Server, gateway_hosts=[host])


@pytest.mark.parametrize("host", ["127.1", "0x7f000001", "a b", "", None])
def test_what_cannot_be_listened_on(host):
    assert refusal(Server, host=host)


def test_a_port_is_a_number_and_no_switch():
    assert Server.model_validate({"port": 0}).port == 0
    for port in (True, -1, 65536, "x", 1.5, None):
        assert refusal(Server, port=port)
    assert refusal(MetricsListener, host="127.0.0.1") == "Field required"


def test_methods_by_name_or_mapping():
    assert Auth.model_validate({"methods": ["api_key"]}) == Auth.model_validate({"methods": [{"type": "api_key"}]})


@pytest.mark.parametrize("name", LATER_METHODS)
def test_methods_of_later_versions_refuse_to_start(name):
    expected = f"not available in this version: the method '{name}'"
    assert refusal(Auth, methods=[name]) == expected
    assert refusal(Auth, methods=[{"type": name, "htpasswd": "x"}]) == expected


@pytest.mark.parametrize("methods", [[], ["apikey"], [{"type": "api_key", "x": 1}], [{}], [7], "api_key", None])
def test_methods_that_mean_nothing_refuse_to_start(methods):
    assert refusal(Auth, methods=methods)


def test_keys_in_redis_are_no_part_of_it():
    assert Storage.model_validate({"url": "rediss://u:hunter2@h:6379/0"}).url.startswith("rediss:")
    for url in ("redis://:hunter2@h/zero", "redis://", "redis://h?ssl_cert_reqs=none", "rediss://h:port"):
        assert "hunter2" not in refusal(Storage, url=url)


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///", "sqlite:///:memory:", "mysql://x", "keys.db", 5])
def test_what_is_no_place_for_keys(url):
    assert refusal(Storage, url=url)


@pytest.mark.parametrize("url", ["", "redis", "sqlite:///x", "redis://:hunter2@h/zero", "memory:", 5, None])
def test_what_is_no_place_for_limits(url):
    said = refusal(Storage, limits_url=url)
    assert said
    assert "hunter2" not in said


def test_a_place_for_limits_is_not_shown():
    """R1: its URL holds a password."""
    assert "hunter2" not in repr(Storage.model_validate({"limits_url": "redis://:hunter2@h:6379/0"}))


def test_log_levels_in_any_case():
    assert Log.model_validate({"level": "DEBUG", "format": "JSON"}) == Log(level="debug", format="json")
    assert refusal(Log, level="verbose")


def test_errors_do_not_repeat_what_was_written():
    """R2."""
    with pytest.raises(ValidationError) as caught:
        Server.model_validate({"port": "canary", "host": "canary canary"})
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("written", "target"),
    [
        ("github.com", HostPort("github.com", 443)),
        ("GitHub.COM.", HostPort("github.com", 443)),
        ("example.org:80", HostPort("example.org", 80)),
        ("bücher.example", HostPort("xn--bcher-kva.example", 443)),
        ("93.184.216.34", HostPort("93.184.216.34", 443)),
        ("[2606:4700:0::1111]:8443", HostPort("2606:4700::1111", 8443)),
    ],
)
def test_an_entry_of_the_egress_policy_is_normalised(written, target):
    """S3: once, here; requests are compared by equality."""
    assert Egress.model_validate({"allow": [written]}).allow == (target,)


@pytest.mark.parametrize(
    "written",
    [
        *("*.example.org", "*", "https://github.com", "github.com/", "user@github.com", "github.com:0", "github.com:x"),
        *("", "a b", "github..com", "127.1", "0x7f000001", "2130706433", "2606:4700::1111", 443, None),
    ],
)
def test_what_is_no_host_and_port_is_no_entry(written):
    with pytest.raises(ValidationError):
        Egress.model_validate({"allow": [written]})


def proxy_of(written):
    return Upstream.model_validate({"proxy": written}).proxy


def test_a_proxy_and_its_exceptions():
    proxy = proxy_of({"url": "http://u:p@proxy.corp:3128", "no_proxy": "localhost,.corp  10.0.0.0/8"})
    assert proxy.url.place == HostPort("proxy.corp", 3128)
    assert proxy.no_proxy == ("localhost", ".corp", "10.0.0.0/8")
    assert proxy_of({"url": "http://proxy.corp", "no_proxy": ["*"]}).no_proxy == ("*",)
    assert proxy_of({"url": "http://proxy.corp", "no_proxy": ""}).no_proxy == ()


@pytest.mark.parametrize(
    "proxy",
    [{}, {"url": "https://u:hidden@p"}, {"url": "p:3128"}, {"url": "http://p", "no_proxy": ["a:1"]}, {"url": 1}],
)
def test_a_proxy_that_cannot_be_one(proxy):
    with pytest.raises(ValidationError) as refused:
        Upstream(proxy=proxy)
    assert "hidden" not in str(refused.value)
