"""Settings as a whole: the user's own example, what wins, defaults, state, and names that are refused."""

import json
import re
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmauth.config.problems import ConfigError
from llmauth.config.sections import LATER_METHODS, NO_METHODS
from llmauth.config.settings import Settings, ca_domains, read_settings
from llmauth.credentials.workload_identity.aws import AwsWorkloadIdentityOptions

ROOT = Path(__file__).parents[3]

# The README's "Example Configuration", as a user copies it.
EXAMPLE = """
instances:
  bedrock_us1:
    type: bedrock
    region: us-east-1
    authentication:
      strategies:
        - type: workload_identity  # Strategy 1
          provider: aws
        - type: vault              # Strategy 2
          backend: hashicorp
          path: aws/sts/bedrock-role
        - type: vault              # Strategy 3
          backend: aws_secrets_manager
          secret_name: bedrock-api-key
        - type: kubernetes_secret  # Strategy 4 (fallback)
          secret_name: bedrock-credentials
"""


@pytest.fixture
def read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def _read(text: str | None = None, overrides: dict[str, object] | None = None, **environ: str) -> Settings:
        if text is not None:
            Path("c.yaml").write_text(text)
        return read_settings(
            [Path("c.yaml")] if text is not None else [], {"HOME": str(tmp_path), **environ}, overrides
        )

    return _read


def fault(read, text: str, **environ: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read(text, **environ)
    return str(caught.value)


def test_the_users_example_is_a_complete_configuration(read):
    settings = read(EXAMPLE)
    (instance,) = settings.instances.values()
    assert (instance.type, instance.region) == ("bedrock", "us-east-1")
    assert isinstance(instance.strategies[0], AwsWorkloadIdentityOptions)
    assert [strategy.type for strategy in instance.strategies] == [
        "workload_identity",
        "vault",
        "vault",
        "kubernetes_secret",
    ]
    assert settings.warnings == ()
    assert (settings.server.host, settings.server.port, settings.auth.enabled) == ("127.0.0.1", 8080, True)


SHIPPED = [
    ["gateway"],
    ["provider-instances"],
    ["gateway", "provider-instances"],
    ["provider-instances", "model-mapping", "transformations"],
]


@pytest.mark.parametrize("names", SHIPPED)
def test_the_shipped_files_load_with_an_empty_environment(names, tmp_path):
    settings = read_settings([ROOT / f"configs/{name}.yaml" for name in names], {"HOME": str(tmp_path)})
    assert settings.instances
    assert settings.warnings == ()


def test_the_shipped_example_is_the_users(read):
    shipped = read_settings([ROOT / "configs/provider-instances.yaml"], {"HOME": "/h"})
    assert shipped.instances == read(EXAMPLE).instances


def test_without_a_file_there_is_no_instance_and_that_is_said(read):
    settings = read()
    assert settings.instances == {}
    sentence = "No instance is configured, so nothing can be called; write a configuration with `llmauth init`."
    assert settings.warnings == (sentence,)
    assert read("server: {port: 1}").warnings[0].endswith("add one under `instances:`.")


def test_option_beats_environment_beats_file_beats_default(read):
    text = "server: {port: 1, tls_port: 1, drain_timeout: 1s}"
    server = read(text, {"server.port": 3}, PORT="2", TLS_PORT="2").server
    assert (server.port, server.tls_port, server.drain_timeout, server.host) == (3, 2, 1, "127.0.0.1")


def test_every_variable_reaches_its_option(read):
    settings = read(
        "{}",
        PORT="1",
        TLS_PORT="2",
        TLS_CERT_FILE="c.pem",
        TLS_KEY_FILE="/k.pem",
        LOG_LEVEL="WARN",
        LOG_FORMAT="json",
        AUTH_ENABLED="false",
        AUTH_MODE="api_key",
        REQUIRE_2FA="false",
        SESSION_DURATION="1h",
    )
    assert (settings.server.port, settings.server.tls_port) == (1, 2)
    assert settings.server.tls_cert_file == Path.cwd() / "c.pem"
    assert settings.server.tls_key_file == Path("/k.pem")
    assert (settings.log.level, settings.log.format) == ("warn", "json")
    assert (settings.auth.enabled, len(settings.auth.methods), settings.auth.session_duration) == (False, 1, 3600)


def test_aws_region_is_the_default_of_bedrock_instances(read):
    text = "instances: {a: {type: bedrock}, b: {type: bedrock, region: eu-west-1}, o: {type: openai}}"
    regions = [read(text, AWS_REGION="ap-south-1").instances[name].region for name in "ab"]
    assert regions == ["ap-south-1", "eu-west-1"]
    assert read(text).instances["a"].region == "us-east-1"
    assert fault(read, text, AWS_REGION="CANARY REGION").startswith(
        "environment variable AWS_REGION: instances.a.region"
    )


def test_state_is_under_llmauth_home(read):
    settings = read("{}", LLMAUTH_HOME="/var/lib/llmauth")
    assert settings.storage.url == "sqlite:////var/lib/llmauth/keys.db"
    assert settings.ca.folder == Path("/var/lib/llmauth/ca")


def test_without_a_home_folder_llmauth_home_is_asked_for(monkeypatch):
    def homeless() -> Path:
        raise RuntimeError

    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(ConfigError, match="LLMAUTH_HOME: not set"):
        read_settings([], {})


def test_paths_are_relative_to_their_file(read, tmp_path):
    (tmp_path / "sub").mkdir()
    file = tmp_path / "sub/f.yaml"
    file.write_text("storage: {url: sqlite:///keys.db}\nca: {folder: ca}\nupstream: {ca_file: root.pem}\n")
    settings = read_settings([file], {"HOME": "/h"})
    assert settings.storage.url == f"sqlite:///{tmp_path}/sub/keys.db"
    assert settings.ca.folder == tmp_path / "sub/ca"
    assert settings.upstream.ca_file == tmp_path / "sub/root.pem"
    file.write_text("storage: {url: sqlite:////abs/keys.db}")
    assert read_settings([file], {"HOME": "/h"}).storage.url == "sqlite:////abs/keys.db"


@pytest.mark.parametrize(
    ("written", "in_kubernetes", "create"),
    [("auto", False, True), ("auto", True, False), ("true", True, True), ("false", False, False)],
)
def test_a_pod_does_not_make_its_own_ca(read, written, in_kubernetes, create):
    environ = {"KUBERNETES_SERVICE_HOST": "10.0.0.1"} if in_kubernetes else {}
    assert read(f"ca: {{create: {written}}}", **environ).ca.create is create


def test_limits_from_the_environment(read):
    settings = read("policies: {default: {rpm: 5, concurrent: 3}}", RATE_LIMIT_RPM="60", RATE_LIMIT_TPM="1000")
    default = settings.policies.default
    assert (default.rpm, default.tpm, default.concurrent) == (60, 1000, 3)
    assert settings.unavailable == ()
    assert not read("{}", RATE_LIMIT_ENABLED="false", RATE_LIMIT_RPM="60").policies.limits
    assert "RATE_LIMIT_RPM" in fault(read, "{}", RATE_LIMIT_RPM="0")


@pytest.mark.parametrize(
    ("text", "environ", "warning"),
    [
        ("{}", {"RATE_LIMIT_ENABLED": "true"}, "RATE_LIMIT_ENABLED is set, and no policy limits anything"),
        ("{}", {"RATE_LIMIT_ENABLED": "false"}, "Limits are off"),
        ("policies: {users: {a: {budget: {amount: 1}}}}", {}, "A policy has a budget, and without prices nothing"),
        (
            "storage: {limits_url: redis://:hunter2@far:6379}",
            {},
            "Limits are counted over a network without checked TLS",
        ),
        ("storage: {limits_url: postgresql://u:p@far/db}", {}, "Limits are counted over a network without checked TLS"),
        ("storage: {url: redis://:hunter2@far:6379}", {}, "The keys in Redis are reached over a network without TLS"),
        ("storage: {url: postgresql://u:hunter2@far/db}", {}, "The key database is reached over a network without a"),
    ],
)
def test_limits_that_may_be_meant_otherwise_are_told(read, text, environ, warning):
    assert [told for told in read(text, **environ).warnings if told.startswith(warning)]


@pytest.mark.parametrize(
    "url",
    [
        *("memory", "redis://localhost", "rediss://far:6380/3", "postgresql://u:p@127.0.0.1/db"),
        "postgresql://u:p@far/db?sslmode=verify-full",
    ],
)
def test_where_limits_are_safely_counted_nothing_is_told(read, url):
    settings = read(f"storage: {{limits_url: '{url}'}}", RATE_LIMIT_ENABLED="true", RATE_LIMIT_RPM="5")
    assert not [told for told in settings.warnings if "imit" in told]


def test_an_instance_of_a_policy_must_be_there(read):
    said = fault(read, "policies: {groups: {g: {instances: [openi]}}}\ninstances: {openai: {type: openai}}")
    assert said.endswith("policies.groups.g.instances: no instance is named 'openi'; did you mean 'openai'?")


def test_vaults_and_the_platform_are_read(read):
    switches = "{aws: off, gcp: 'on', ibm: auto}"
    text = f"vaults: {{hashicorp: {{address: '${{V:-}}'}}}}\nplatform: {{type: eks, capabilities: {switches}}}\n"
    settings = read(text)
    assert settings.vaults.hashicorp.address == ""
    assert settings.platform.type == "eks"
    assert settings.platform.switched() == {"aws": False, "gcp": True}
    assert "platform.type" in fault(read, "platform: {type: mars}")
    assert "platform.capabilities" in fault(read, "platform: {capabilities: {aws: perhaps}}")


def test_azure_needs_its_resource(read):
    assert "c.yaml:2: instances.a.base_url: " in fault(read, "instances:\n  a: {type: azure, api_version: v1}\n")
    found = read("instances: {a: {type: azure, base_url: 'https://c.openai.azure.us', deployments: {gpt-4o: mine}}}")
    assert found.instances["a"].deployments == {"gpt-4o": "mine"}
    assert {"openai.azure.us", "services.ai.azure.com"} <= set(ca_domains(found))


def test_vertex_stands_where_googles_own_tools_stand(read):
    environ = {"GOOGLE_CLOUD_LOCATION": "eu", "GOOGLE_CLOUD_PROJECT": "my-project"}
    found = read("instances: {a: {type: vertex}, b: {type: vertex, region: us-east5}}", **environ).instances
    assert [(one.region, one.project) for one in found.values()] == [("eu", "my-project"), ("us-east5", "my-project")]
    assert "GOOGLE_CLOUD_LOCATION" in fault(read, "instances: {a: {type: vertex}}", GOOGLE_CLOUD_LOCATION="EU")


@pytest.mark.parametrize("name", ["v1", "anthropic", "Big", "_a", "a.b", "a b", "-a"])
def test_instance_names_that_a_path_could_not_tell_apart(read, name):
    assert re.match(
        rf"c.yaml:2: instances\.{re.escape(name)}: .*name", fault(read, f"instances:\n  {name}: {{type: openai}}\n")
    )


def test_an_instance_may_bear_the_name_of_its_own_type(read):
    assert read("instances: {openai: {type: openai}}").instances["openai"].type == "openai"


def test_tls_enabled_needs_a_certificate(read):
    assert fault(read, "{}", TLS_ENABLED="true") == (
        "environment variable TLS_ENABLED: TLS is asked for; set TLS_CERT_FILE and TLS_KEY_FILE"
    )
    files = "server: {tls_cert_file: a, tls_key_file: b}"
    assert read(files, TLS_ENABLED="false").server.tls_cert_file is None
    assert read(files, TLS_ENABLED="true").server.tls_cert_file is not None


def test_the_log_is_told_what_is_open(read):
    settings = read("server: {host: 0.0.0.0}\nmetrics: {port: 9090, host: '::'}\ninstances: {o: {type: openai}}")
    assert [warning.split(" is ")[0].split(" shows ")[0] for warning in settings.warnings] == ["Port 8080", "Port 9090"]
    assert read("auth: {enabled: false}").warnings[-1].startswith("Authentication is off")


@pytest.mark.parametrize("name", ["PORT", "AUTH_MODE", "LOG_LEVEL", "SESSION_DURATION", "AUTH_ENABLED", "REQUIRE_2FA"])
def test_values_of_the_environment_are_not_shown(read, name):
    """R2."""
    message = fault(read, "{}", **{name: "CANARY"})
    assert message.startswith(f"environment variable {name}: ")
    assert "CANARY" not in message


@pytest.mark.parametrize("name", LATER_METHODS)
def test_a_method_of_a_later_version_is_named_wherever_it_stands(read, name):
    """It is from a closed set, and so no secret."""
    said = f"auth.methods[0]: not available in this version: the method '{name}'"
    assert fault(read, "{}", AUTH_MODE=name) == f"environment variable AUTH_MODE: {said}"
    assert fault(read, "auth: {methods: ['${M}']}", M=name) == f"c.yaml:1: {said}"
    assert fault(read, f"auth: {{methods: [{{type: {name}}}]}}") == f"c.yaml:1: {said}"


@pytest.mark.parametrize("name", NO_METHODS)
def test_what_is_no_method_says_what_to_write(read, name):
    assert NO_METHODS[name] in fault(read, "{}", AUTH_MODE=name)


def test_sessions_are_there_wherever_keys_are(read):
    assert read("{}", AUTH_MODE="api_key,session").auth.methods == read("{}", AUTH_MODE="session").auth.methods
    assert [one.type for one in read("{}", AUTH_MODE="session").auth.methods] == ["api_key"]


def test_unknown_auth_mode_refuses_to_start(read):
    assert "wanted 'api_key'" in fault(read, "{}", AUTH_MODE="apikey")


def test_a_missing_file_is_named(read):
    with pytest.raises(ConfigError, match=r"i\.yaml: the file cannot be read: No such file"):
        read(PROVIDER_INSTANCES_CONFIG="i.yaml")


def test_the_ca_is_for_all_provider_types_and_what_is_configured(read):
    settings = read(
        "server: {gateway_hosts: [llm.internal]}\nca: {domains: [more.example]}\ninstances:\n"
        "  o: {type: openai, base_url: 'https://llm.corp.example/v1'}\n"
        "  b: {type: bedrock, base_url: 'https://vpce-1.bedrock-runtime.us-east-1.vpce.amazonaws.com'}\n"
    )
    domains = ca_domains(settings)
    assert {"api.openai.com", "googleapis.com", "llm.internal", "more.example", "llm.corp.example"} <= set(domains)
    assert not any(name.startswith("vpce") for name in domains)


def test_an_instance_that_is_told_no_source_of_a_credential_is_named(read):
    text = "instances: {local: {type: openai_compatible, base_url: 'https://models.corp.example/v1'}}"
    assert read(text).warnings == (
        "Instance 'local' gets no credential: name under `authentication:` where it comes from.",
    )


def test_settings_are_frozen(read):
    settings = read("{}")
    with pytest.raises(FrozenInstanceError):
        settings.home = Path("/")


KEYS = [
    *("server", "upstream", "auth", "egress", "instances", "storage", "metrics", "ca", "log", "models", "hosts"),
    *(
        "host",
        "port",
        "tls_cert_file",
        "drain_timeout",
        "gateway_hosts",
        "http2",
        "resolve",
        "allow_private",
        "methods",
    ),
    *("enabled", "default", "allow", "url", "create", "domains", "level", "format", "type", "region", "base_url"),
    *("authentication", "strategies", "variable", "path", "backend", "provider", "role_arn", "refresh_interval"),
]
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-1, 70000),
    st.floats(),
    st.sampled_from(["${C}", "x${C}", "https://${C}/", "http://u:${C}@h", "${C}:1", "${D:-CANARY/9}", "1s", "", "a b"]),
    st.sampled_from(["openai", "bedrock", "azure", "vault", "file", "environment", "workload_identity", "aws", "deny"]),
)
TREES = st.recursive(
    VALUES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(KEYS), inner, max_size=6)),
    max_leaves=25,
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from(KEYS[:11]), TREES, min_size=1, max_size=4))
def test_no_configuration_ends_in_a_traceback_or_shows_an_expanded_value(tmp_path, tree):
    """R2: whatever stands where, it is Settings or a ConfigError without the value of a variable."""
    file = tmp_path / "f.yaml"
    file.write_text(json.dumps(tree).replace("NaN", ".nan").replace("Infinity", ".inf"))
    message = ""
    try:
        read_settings([file], {"HOME": str(tmp_path), "C": "CANARY/9"})
    except ConfigError as error:
        message = str(error)
    assert "CANARY" not in message.upper()
