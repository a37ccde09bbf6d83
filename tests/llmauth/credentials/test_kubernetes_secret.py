"""A Secret of Kubernetes from each of its three places, and which of them is asked where."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from ruamel.yaml import YAML

from llmauth.credentials.base import Surroundings
from llmauth.credentials.kubernetes import mounted as mounts
from llmauth.credentials.kubernetes_secret import REFRESH_AFTER, KubernetesSecretOptions, KubernetesSecretStrategy
from llmauth.platform import Machine, SimulatedMachine, ThisMachine
from llmauth.platform.detector import detect
from llmauth.platform.simulated import SIMULATED, simulated
from llmauth.secrets import ApiKey, AwsKeys, Secret
from llmauth.sources import SourceFailed, SourceUnavailable
from tests.emulators.kubernetes_api import MASTERS, KubernetesApi
from tests.emulators.service import dead_port
from tests.fixtures.kubernetes import Pod, in_base64, kubeconfig, mounted, publish, with_certificate, written
from tests.sources import ROOT

TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/token"


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch) -> tuple[Path, ...]:
    """The folders where secrets are mounted by convention, on this machine's disk."""
    found = (tmp_path / "etc-llmauth-secrets", tmp_path / "run-secrets-llmauth")
    monkeypatch.setattr(mounts, "FOLDERS", found)
    return found


@pytest.fixture
def api() -> Iterator[KubernetesApi]:
    with KubernetesApi() as running:
        yield running


@pytest.fixture
def pod(api, tmp_path) -> Pod:
    """The pod of llmauth/proxy, which may get the one secret `openai`."""
    standing = Pod(api, tmp_path / "pod")
    api.allow(standing.user, "get", "secrets", "llmauth", "openai")
    return standing


def strategy(machine: Machine, provider="openai", secret_name="openai", **options) -> KubernetesSecretStrategy:
    surroundings = Surroundings(provider=provider, machine=machine, platform=detect(machine))
    return KubernetesSecretStrategy(KubernetesSecretOptions(secret_name=secret_name, **options), surroundings)


def laptop(folder: Path, config: object, **environ: str) -> ThisMachine:
    """A machine outside of any cluster, with a kubeconfig in its home; JSON is YAML."""
    (folder / ".kube").mkdir(exist_ok=True)
    written(folder / ".kube/config", config if isinstance(config, str) else json.dumps(config))
    return ThisMachine({"HOME": str(folder), **environ})


# Mounted

FIELDS = {"access_key_id": "id", "secret_access_key": "secret", "session_token": "token"}


def test_the_place_that_is_given(tmp_path) -> None:
    mount = mounted(tmp_path / "mount")
    publish(mount, 1, {"access_key_id": "AKID\n", "secret_access_key": "s\n", "README": "\x00"})
    loaded = strategy(ThisMachine({}), "bedrock", mount_path=mount).load()
    assert loaded.credential == AwsKeys(access_key_id="AKID", secret_access_key=Secret("s"))
    assert loaded.source == str(mount)
    assert loaded.refresh_after is not None
    assert loaded.refresh_after < 5


@pytest.mark.parametrize("which", [0, 1])
def test_a_place_by_convention_counts_before_the_api(places, pod, api, which) -> None:
    publish(mounted(places[which] / "openai"), 1, {"api_key": "sk-mounted"})
    assert strategy(pod.machine).load().credential == ApiKey(value=Secret("sk-mounted"))
    assert not api.calls


def test_one_file_by_its_key(places) -> None:
    publish(mounted(places[0] / "keys"), 1, {"openai": "sk-1\n", "anthropic": "sk-2\n"})
    machine = ThisMachine({})
    found = strategy(machine, secret_name="keys", key="openai", refresh_interval="9s").load()
    assert (found.credential, found.refresh_after) == (ApiKey(value=Secret("sk-1")), 9)
    with pytest.raises(SourceFailed, match="no file of the name that `key` gives, absent"):
        strategy(machine, secret_name="keys", key="absent").load()
    with pytest.raises(SourceFailed, match="one of another name is picked with `key`"):
        strategy(machine, secret_name="keys").load()


def test_a_mount_that_is_not_there_is_unavailable_and_nothing_else_is_asked(pod, api, tmp_path) -> None:
    one = strategy(pod.machine, mount_path=tmp_path / "absent")
    with pytest.raises(SourceUnavailable) as caught:
        one.load()
    assert one.unavailable() == caught.value.reason == f"{tmp_path}/absent does not exist: no secret is mounted there"
    assert not api.calls


def test_rotated_while_it_is_read(places) -> None:
    """Twenty publications under two hundred loads from eight threads; never a mixture, never a failure."""
    mount = mounted(places[0] / "aws")
    publish(mount, 0, {"access_key_id": "id-0", "secret_access_key": "secret-0", "session_token": "token-0"})
    whole = strategy(ThisMachine({}), "bedrock", secret_name="aws")
    single = strategy(ThisMachine({}), secret_name="aws", key="session_token")
    seen: list[tuple[str, str, str]] = []
    failures: list[Exception] = []
    done = threading.Event()

    def read() -> None:
        try:
            while not done.is_set() or len(seen) < 200:
                keys = whole.load().credential
                assert isinstance(keys, AwsKeys)
                assert keys.session_token is not None
                single.load()
                seen.append(
                    (keys.access_key_id[3:], keys.secret_access_key.reveal()[7:], keys.session_token.reveal()[6:])
                )
        except Exception as failure:
            failures.append(failure)

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for version in range(1, 21):
        fields = {name: f"{word}-{version}" for name, word in FIELDS.items()}
        publish(mount, version, fields)
        time.sleep(0.01)
    done.set()
    for thread in threads:
        thread.join(20)
    assert not failures
    assert len(seen) >= 200
    assert all(len(set(versions)) == 1 for versions in seen)
    assert len({versions[0] for versions in seen}) > 5, "nothing was rotated while reading"
    assert whole.load().credential == AwsKeys(
        access_key_id="id-20", secret_access_key=Secret("secret-20"), session_token=Secret("token-20")
    )


# The API, in a pod


def test_the_api(pod, api) -> None:
    version = api.keep("llmauth", "openai", api_key="sk-1\n", notes=b"\xff")
    loaded = strategy(pod.machine).load()
    assert loaded.credential == ApiKey(value=Secret("sk-1"))
    assert loaded.source == f"secret llmauth/openai of the Kubernetes API, version {version}"
    assert (loaded.refresh_after, loaded.expires_at) == (REFRESH_AFTER, None)
    (call,) = api.calls
    assert (call.method, call.target) == ("GET", "/api/v1/namespaces/llmauth/secrets/openai")
    assert call.headers["accept"] == "application/json"


def test_a_changed_secret_is_the_next_load_s(pod, api) -> None:
    one = strategy(pod.machine)
    api.keep("llmauth", "openai", api_key="sk-1")
    before = one.load()
    api.keep("llmauth", "openai", api_key="sk-2")
    after = one.load()
    assert after.credential == ApiKey(value=Secret("sk-2"))
    assert after.source != before.source


def test_another_namespace_and_one_field(pod, api) -> None:
    api.allow(pod.user, "get", "secrets", "keys", "openai")
    api.keep("keys", "openai", first="sk-1\n", second=b"\xff")
    assert strategy(pod.machine, namespace="keys", key="first").load().credential == ApiKey(value=Secret("sk-1"))
    with pytest.raises(SourceFailed, match=r"secret keys/openai of .*: its field second is no text"):
        strategy(pod.machine, namespace="keys", key="second").load()
    with pytest.raises(SourceFailed, match="has no field of the name that `key` gives, third"):
        strategy(pod.machine, namespace="keys", key="third").load()


def test_a_field_that_is_json(pod, api) -> None:
    api.keep("llmauth", "openai", aws='{"access_key_id": "AKID", "secret_access_key": "s"}\n')
    found = strategy(pod.machine, "bedrock", key="aws").load().credential
    assert found == AwsKeys(access_key_id="AKID", secret_access_key=Secret("s"))


def test_a_secret_without_fields(pod, api) -> None:
    api.keep("llmauth", "openai")
    with pytest.raises(SourceFailed, match=r"no field of a name that is known here.*picked with `key`"):
        strategy(pod.machine).load()


def test_a_pod_without_a_token_says_so_at_once(pod, api) -> None:
    (pod.folder / "token").unlink()
    one = strategy(pod.machine)
    with pytest.raises(SourceUnavailable, match="automountServiceAccountToken: false") as caught:
        one.load()
    assert one.unavailable() == caught.value.reason
    assert not api.calls


def test_a_kubeconfig_in_a_pod_is_never_used(pod, api, tmp_path) -> None:
    """A kubeconfig that somebody put into an image or a volume must not decide whose secret is used."""
    laptop(tmp_path, with_certificate(api, "minikube-user", MASTERS))
    api.keep("default", "openai", api_key="sk-theirs")
    api.keep("llmauth", "openai", api_key="sk-ours")
    environ = {**pod.machine.environ, "HOME": str(tmp_path), "KUBECONFIG": str(tmp_path / ".kube/config")}
    one = strategy(ThisMachine(environ, pod.machine.root), context="minikube")
    assert one.load().credential == ApiKey(value=Secret("sk-ours"))
    (pod.folder / "token").unlink()
    with pytest.raises(SourceUnavailable, match="no token"):
        one.load()


def test_unavailable_asks_nobody(pod, api) -> None:
    assert strategy(pod.machine).unavailable() is None
    assert not api.calls


# Outside of a cluster


def test_minikube(api, tmp_path, caplog) -> None:
    api.keep("default", "openai", api_key="sk-1")
    caplog.set_level("INFO")
    one = strategy(laptop(tmp_path, with_certificate(api, "minikube-user", MASTERS)))
    assert one.unavailable() is None
    assert not api.calls
    loaded = one.load()
    assert loaded.credential == ApiKey(value=Secret("sk-1"))
    assert loaded.source.startswith("secret default/openai of the kubeconfig's context minikube, version ")
    one.load()
    told = f"The secret openai is asked of the kubeconfig's context minikube, at 127.0.0.1:{api.port}"
    assert [record.getMessage() for record in caplog.records if "kubeconfig" in record.getMessage()] == [told]


def test_no_cluster_at_all_is_unavailable_at_once(tmp_path, places) -> None:
    one = strategy(ThisMachine({"HOME": str(tmp_path)}))
    wanted = f"no secret is mounted at {places[0]}/openai, this is no pod, and there is no kubeconfig"
    assert one.unavailable() == wanted
    with pytest.raises(SourceUnavailable) as caught:
        one.load()
    assert caught.value.reason == wanted


def test_a_cluster_elsewhere_is_left_alone_unless_it_is_named(api, tmp_path) -> None:
    """A developer's current context may be production: its secret is not used because somebody started a gateway."""
    config = kubeconfig(api, name="production", token=api.token("team", "developer"))
    config["clusters"][0]["cluster"]["server"] = f"https://10.0.0.1:{api.port}"
    machine = laptop(tmp_path, config)
    one = strategy(machine)
    with pytest.raises(SourceUnavailable, match="is left alone; `context: production` uses it") as caught:
        one.load()
    assert one.unavailable() == caught.value.reason
    assert strategy(machine, context="production").unavailable() is None


def test_a_context_by_its_name(api, tmp_path) -> None:
    api.keep("keys", "openai", api_key="sk-1")
    api.allow(api.account("team", "developer"), "get", "secrets", "keys", "openai")
    config = kubeconfig(api, name="production", token=api.token("team", "developer"))
    config["contexts"][0]["context"]["namespace"] = "keys"
    config["current-context"] = "another"
    assert strategy(laptop(tmp_path, config), context="production").load().credential == ApiKey(value=Secret("sk-1"))


def test_a_kubeconfig_that_cannot_be_used_is_broken_and_not_absent(tmp_path) -> None:
    one = strategy(laptop(tmp_path, "a: ["))
    assert one.unavailable() is None
    with pytest.raises(SourceFailed, match=r"\.kube/config is no YAML"):
        one.load()


def test_a_cluster_that_is_stopped(api, tmp_path) -> None:
    config = with_certificate(api, "minikube-user", MASTERS)
    with dead_port() as port:
        config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{port}"
        with pytest.raises(SourceFailed, match=r"127\.0\.0\.1 cannot be asked: ConnectionRefusedError"):
            strategy(laptop(tmp_path, config)).load()


# Simulated machines


def simulated_laptop(server: str) -> SimulatedMachine:
    config = {
        "current-context": "minikube",
        "contexts": [{"name": "minikube", "context": {"cluster": "minikube", "user": "minikube"}}],
        "clusters": [{"name": "minikube", "cluster": {"server": server}}],
        "users": [{"name": "minikube", "user": {"client-certificate": "client.crt"}}],
    }
    return SimulatedMachine({"HOME": "/h"}, {"/h/.kube/config": json.dumps(config)})


@pytest.mark.parametrize(
    ("machine", "reason"),
    [
        (SimulatedMachine({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, {TOKEN: "e.e.e"}), None),
        (SimulatedMachine({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}), "no token"),
        (SimulatedMachine({"HOME": "/h"}), "there is no kubeconfig"),
        (simulated_laptop("https://192.168.49.2:8443"), None),
        (simulated_laptop("https://8.8.8.8"), "left alone"),
    ],
)
def test_a_simulated_machine_is_a_table(machine, reason, tmp_path, monkeypatch) -> None:
    laptop(tmp_path, "a: [")  # what this machine has is nothing to it
    monkeypatch.setenv("HOME", str(tmp_path))
    found = strategy(machine).unavailable()
    assert found is None if reason is None else reason in str(found)


@pytest.mark.parametrize("name", SIMULATED)
def test_every_simulated_platform(name) -> None:
    """In a pod its API would be asked, on a laptop that of its minikube, and elsewhere nothing is there to be asked."""
    machine = simulated(name, {})
    reason = strategy(machine).unavailable()
    if detect(machine).in_kubernetes or name == "laptop":
        assert reason is None
    else:
        assert reason is not None
        assert "this is no pod" in reason


def test_a_simulated_mount_is_assumed_in_a_pod_alone(tmp_path) -> None:
    pod = SimulatedMachine({"KUBERNETES_SERVICE_HOST": "10.0.0.1"})
    assert strategy(pod, mount_path=tmp_path / "absent").unavailable() is None
    assert "does not exist" in str(strategy(SimulatedMachine({}), mount_path=tmp_path).unavailable())


# Options


@pytest.mark.parametrize(
    "options",
    [
        {"secret_name": "../token"},
        {"secret_name": "Upper"},
        {"secret_name": ""},
        {"namespace": "a/b"},
        {"namespace": "a" * 64},
        {"key": "../other"},
        {"key": "..data"},
        {"key": "."},
        {"key": "a\n"},
        {"context": ""},
        {"mount_path": "/mnt", "context": "minikube"},
        {"cluster": "unknown"},
    ],
)
def test_options_that_no_cluster_has(options) -> None:
    with pytest.raises(ValidationError):
        KubernetesSecretOptions.model_validate({"secret_name": "openai", **options})


@pytest.mark.parametrize("key", ["api_key", "tls.crt", ".dockerconfigjson", "A-1"])
def test_keys_as_kubernetes_allows_them(key) -> None:
    assert KubernetesSecretOptions(secret_name="my.openai-key", key=key).key == key


def test_nothing_of_a_token_or_key_is_told(api, tmp_path) -> None:
    """R1: neither reasons nor logs hold what the files hold."""
    config = kubeconfig(api, token="canary-7f3a", client_key_data=in_base64("canary-7f3a"))
    with pytest.raises(SourceFailed) as caught:
        strategy(laptop(tmp_path, config)).load()
    assert "does not accept the user of the kubeconfig's context minikube (401" in caught.value.reason
    assert "canary" not in caught.value.reason


# The page


def manifests() -> list[dict[str, Any]]:
    """All YAML of docs/credentials/kubernetes.md."""
    text = (ROOT / "docs/credentials/kubernetes.md").read_text()
    blocks = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    return [document for block in blocks for document in YAML(typ="safe", pure=True).load_all(block)]


def test_the_role_of_the_page_is_enough_and_no_more(api, tmp_path) -> None:
    objects = {one["kind"]: one for one in manifests() if "kind" in one}
    account, role, binding = objects["ServiceAccount"], objects["Role"], objects["RoleBinding"]
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    (subject,) = binding["subjects"]
    assert (subject["kind"], subject["name"]) == ("ServiceAccount", account["metadata"]["name"])
    pod = Pod(api, tmp_path / "pod", account=subject["name"], namespace=subject["namespace"])
    (rule,) = role["rules"]
    for verb in rule["verbs"]:
        for resource in rule["resources"]:
            api.allow(pod.user, verb, resource, role["metadata"]["namespace"], *rule["resourceNames"])
    for name in ("openai", "llm-keys", "other"):
        api.keep(subject["namespace"], name, api_key="sk-1")
    assert strategy(pod.machine).load().credential == ApiKey(value=Secret("sk-1"))
    assert strategy(pod.machine, secret_name="llm-keys").load().credential == ApiKey(value=Secret("sk-1"))
    with pytest.raises(SourceFailed, match="403 Forbidden"):
        strategy(pod.machine, secret_name="other").load()
    assert {"list", "watch"} & set(rule["verbs"]) == set()


def test_the_pod_of_the_page_mounts_where_it_is_looked_for() -> None:
    (spec,) = [one["spec"] for one in manifests() if "kind" in one and one["kind"] == "Pod"]
    (volume,) = spec["volumes"]
    (mount,) = spec["containers"][0]["volumeMounts"]
    assert mount["mountPath"] == f"/etc/llmauth/secrets/{volume['secret']['secretName']}"
    assert "subPath" not in mount


def test_the_entries_of_the_page_are_read() -> None:
    entries = [one for one in manifests() if isinstance(one, list)]
    instances = next(one["instances"] for one in manifests() if "instances" in one)
    entries += [instance["authentication"]["strategies"] for instance in instances.values()]
    found = [KubernetesSecretOptions.model_validate(entry) for (entry,) in entries]
    assert [one.context for one in found].count("staging") == 1
    assert len(found) == 3
