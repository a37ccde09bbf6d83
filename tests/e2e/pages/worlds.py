"""For each page with commands: what they find when they are typed, and what is to be seen of them."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.e2e.pages.world import Place, World
from tests.e2e.test_second_factor import code, enrolled
from tests.fixtures.calls import call

_QUICK_START = (
    "1. Install",
    "2. Serve",
    "3. Call through HTTPS_PROXY",
    "4. Or call by base URL",
    "5. The same over TLS",
)
# The whole of it takes as long as all clients of the machine together.
_DOCTOR = "llmauth doctor --only configuration --only ca"
_TAIL = "{ timeout 2 llmauth tail || [ $? = 124 ]; }"
_ONBOARDING = {
    **dict.fromkeys(("llmauth init", "llmauth secret", "llmauth uninstall"), "tests/e2e/test_onboarding.py"),
    "llmauth completion": "tests/llmauth/cli/test_completion.py",
}
_DEV = "[profile dev]\nregion = us-east-1\naws_access_key_id = AKIAEXAMPLE\naws_secret_access_key = example\n"


def _audited(place: Place) -> Mapping[str, str]:
    (place.folder / "server.log").write_bytes(place.gateway.log_file.read_bytes())
    (file,) = (place.gateway.home / "audit").glob("*.jsonl")
    place.gateway.key("alice")
    return {"FILE": str(file)}


def _learned(place: Place) -> None:
    (place.gateway.home / "learned-hosts.txt").write_text("github.com:443\n")


def _kept(place: Place) -> None:
    for name in ("sealing.key", "token.key"):
        (place.gateway.home / name).touch()
    for name in ("backup", "backup-elsewhere"):
        (place.folder / name).mkdir()


def _with_a_factor(place: Place) -> Mapping[str, str]:
    key, enrolment = enrolled(place.gateway, "me")
    return {"KEY": key, "CODE": code(enrolment)}


def _asked(place: Place) -> None:
    call(place.gateway)


def _java(place: Place) -> Mapping[str, str]:
    home = Path(os.path.realpath("/usr/bin/java")).parents[1]
    return {"JAVA_HOME": str(home)}


def _admin(place: Place) -> Mapping[str, str]:
    """A code of the factor that the page enrols is made when it is typed: by this program, out of what was written."""
    program = place.folder / "bin" / "code"
    script = "import json, pyotp; print(pyotp.TOTP(json.load(open('admin-totp.json'))['secret']).now())"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{script}"\n')
    program.chmod(0o755)
    return {}


WORLDS: Mapping[str, World] = {
    "docs/CREDENTIALS.md": World(sees=("bedrock_us1",)),
    "docs/QUICKSTART.md": World(leaves_out=_QUICK_START),
    "README.md": World(
        leaves_out=("The first ten minutes",),
        places={"openai/bedrock/": "openai/bedrock_us1/"},
        sees=("Hello from the emulated",),
    ),
    "certs/README.md": World(prepare=_java, needs=("keytool",), calls=("kubectl create configmap llmauth-ca",)),
    "deployments/README.md": World(calls=("terraform apply", "docker build")),
    "docs/ALERTS.md": World(places={"llmauth doctor": _DOCTOR, "llmauth tail": _TAIL}, sees=("bedrock_us1",)),
    "docs/DEBUGGING.md": World(
        elsewhere={"serve --web": "tests/e2e/test_web.py", "flows/dump": "tests/e2e/test_web.py"}
    ),
    "docs/DOCTOR.md": World(places={"llmauth doctor": _DOCTOR}),
    "docs/HINDSIGHT.md": World(prepare=_asked, sees=("/transparent/openai/v1/chat/completions  gpt-4o  200",)),
    "docs/KUBERNETES.md": World(
        files={"tls.crt": "", "tls.key": ""},
        variables={"STORAGE_URL": "postgresql://db/llmauth", "LIMITS_URL": "redis://redis:6379/0"},
        calls=("kubectl apply -k deployments/kubernetes/overlays/prod", "docker build"),
    ),
    "docs/ONBOARDING.md": World(elsewhere=_ONBOARDING),
    "docs/OPERATIONS.md": World(sees=("debug",)),
    "docs/clients/README.md": World(sees=("Hello from the emulated",)),
    "docs/clients/bedrock-sdk.md": World(sees=("Hello from the emulated",)),
    "docs/clients/claude-code.md": World(calls=("claude -p say hello",)),
    "docs/clients/codex.md": World(calls=("codex exec",)),
    "docs/clients/curl-git.md": World(needs=("wget",), sees=('"object"',)),
    "docs/clients/java.md": World(says={"java": "stands-in"}, calls=("java -jar app.jar",)),
    "docs/clients/node.md": World(
        files={"app.mjs": ""}, says={"npm": "stands-in"}, needs=("node",), calls=("npm start",)
    ),
    "docs/clients/openai-sdk.md": World(files={"app.mjs": ""}, needs=("node",), sees=("Hello from the emulated",)),
    "docs/AUDIT.md": World(prepare=_audited, sees=("none was changed, taken out or put in",)),
    "docs/AUTHORIZATION.md": World(sees=('"user": "test"', "invalid_api_key")),
    "docs/CONFIGURATION.md": World(fails=("config check gateway.yaml",), files={"gateway.yaml": "server: {port: x}\n"}),
    "docs/EGRESS.md": World(prepare=_learned, sees=("- github.com:443",)),
    "docs/PROTOCOL-MODE.md": World(sees=("Hello from the emulated",)),
    "docs/CLOUD-AGNOSTIC-CONFIG.md": World(sees=("vault (hashicorp)",)),
    "docs/MULTI-PROVIDER-SETUP.md": World(
        variables={"OCI_CLI_REGION": "us-chicago-1"}, sees=("providers.yaml: all is well", '"object"')
    ),
    "docs/PARAMETER-MAPPING.md": World(sees=("all is well",)),
    "docs/QUICKSTART-OPENAI-API.md": World(sees=("Hello from the emulated", "data: [DONE]")),
    "docs/SECURITY-QUICKSTART.md": World(
        prepare=_admin,
        says={"kubectl": "{key64}"},
        places={"X-TOTP-Code: 123456": "X-TOTP-Code: $(code)"},
        sees=('"object"', "invalid_api_key", "Hello from the emulated"),
        calls=("kubectl apply -f deployments/kubernetes/deployment-with-auth.yaml",),
    ),
    "docs/STORAGE-ROUTING.md": World(sees=("storage.yaml: all is well",)),
    "docs/TRANSPARENT-AND-PROTOCOL-MODES.md": World(sees=("Hello from the emulated", '"choices"')),
    "docs/WORKLOAD-IDENTITY.md": World(sees=("identity.yaml: all is well", "workload_identity")),
    "docs/STORAGE.md": World(
        prepare=_kept, places={"'/backup": "'backup", " /backup-elsewhere": " backup-elsewhere"}, needs=("sqlite3",)
    ),
    "docs/WORKERS.md": World(),
    "docs/authorization/alb.md": World(variables={"COOKIE": "cookie"}),
    "docs/authorization/aws-iam.md": World(files={"user/.aws/config": _DEV}, variables={"AWS_PROFILE": "dev"}),
    "docs/authorization/basic.md": World(
        environ={"BASIC_AUTH_CREDENTIALS": "carol:correct horse"},
        sections={"auth": {"methods": ["api_key", "basic"]}},
        files={"users.htpasswd": ""},
        sees=('"object"',),
        calls=("htpasswd -c",),
    ),
    "docs/authorization/imported-keys.md": World(variables={"API_KEY": "{key}"}, sees=('"object"',)),
    "docs/authorization/mtls.md": World(),
    "docs/authorization/oidc.md": World(
        variables={"TOKEN": "{key}", "LLMAUTH_KEY": "{key}"}, sees=("test, by api_key",)
    ),
    "docs/authorization/second-factor.md": World(
        prepare=_with_a_factor,
        places={"123456": "{CODE}", "NO_PROXY=llm-proxy.example.com": "NO_PROXY=localhost"},
        needs=("jq",),
        sees=('"second_factor": true',),
    ),
    "docs/authorization/service-accounts.md": World(
        files={"token": "{key}"}, places={"/var/run/secrets/llmauth/token": "token"}, sees=('"object"',)
    ),
    "docs/authorization/sigv4.md": World(variables={"MODEL": "m", "MESSAGES": "[]"}, calls=("aws bedrock-runtime",)),
    "docs/credentials/aws.md": World(calls=("aws eks create-addon",)),
    "docs/credentials/azure.md": World(calls=("az identity create",)),
    "docs/credentials/gcp.md": World(variables={"ISSUER": "https://issuer"}, calls=("gcloud services enable",)),
    "docs/credentials/ibm.md": World(calls=("ibmcloud iam",)),
    "docs/credentials/keyring.md": World(elsewhere={"llmauth secret": "tests/llmauth/cli/test_secret.py"}),
    "docs/credentials/kubernetes.md": World(calls=("kubectl auth can-i",)),
    "docs/credentials/local.md": World(places={"cat > openai-key": "echo secret > openai-key"}),
    "docs/credentials/vault.md": World(
        files={"etc/keep": ""}, places={"/etc/llmauth": "etc"}, calls=("vault policy write llmauth -",)
    ),
}
