"""Every strategy that asks a network, each before services of its own: the table of the outages."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from botocore.session import Session
from pydantic import TypeAdapter

from llmauth.addresses import HostPort
from llmauth.credentials import StrategyOptions
from llmauth.credentials.base import Options
from llmauth.credentials.workload_identity.compute_token import IN_A_POD
from llmauth.outbound import Outbound
from llmauth.platform import Platform, SimulatedMachine
from llmauth.vaults import VaultsOptions
from tests.e2e.credentials.outages import LONG, Forwarding, Row, Street
from tests.emulators.azure_imds import HEADER, AppServiceEmulator, ImdsEmulator
from tests.emulators.container_credentials import ContainerCredentials
from tests.emulators.entra import CLIENT, SECRET, TENANT, EntraEmulator, cluster_token, reaching
from tests.emulators.gcp_metadata import GcpMetadata
from tests.emulators.google_sts import (
    ACCOUNT,
    GoogleTokens,
    external_account_file,
    leading,
    service_account_file,
)
from tests.emulators.ibm_iam import HOST as IBM
from tests.emulators.ibm_iam import IbmIamEmulator, IbmMetadataEmulator
from tests.emulators.imds import Imds
from tests.emulators.key_vault import HOST as KEY_VAULT
from tests.emulators.key_vault import KeyVaultEmulator
from tests.emulators.kubernetes_api import KubernetesApi
from tests.emulators.oci_identity import OKE_HOST, OciFederation, OciMetadata, OkeTokens, Realm
from tests.emulators.secret_manager import SecretManager
from tests.emulators.service import Service
from tests.emulators.sts import Role as StsRole
from tests.emulators.sts import Sts
from tests.emulators.vault import Role as VaultRole
from tests.emulators.vault import VaultEmulator
from tests.fixtures.kubernetes import Pod

_POD = {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}
_ROLE = "arn:aws:iam::123456789012:role/bedrock-proxy"
_GUEST = "arn:aws:iam::210987654321:role/bedrock-guest"
_SUBJECT = "system:serviceaccount:llm:proxy"
_SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
_OPTIONS: TypeAdapter[Options] = TypeAdapter(StrategyOptions)
# What is kept in every vault, and in every Secret.
_KEY = "sk-canary-of-the-vaults-0123456789"


def _written(**options: Any) -> Options:
    """A strategy as it stands in a configuration."""
    return _OPTIONS.validate_python(options)


def _identity(cloud: str, **options: Any) -> Options:
    return _written(type="workload_identity", provider=cloud, **options)


def _life_of(service: Any) -> Callable[[int], None]:
    return lambda seconds: setattr(service, "life", seconds)


# ---- AWS -----------------------------------------------------------------------------------------------------------


def _irsa(street: Street) -> Row:
    sts = street.started(Sts({_ROLE: StsRole(subjects=[_SUBJECT])}))
    token = street.folder("irsa") / "token"
    token.write_text(sts.token(_SUBJECT))
    named = {"AWS_ROLE_ARN": _ROLE, "AWS_WEB_IDENTITY_TOKEN_FILE": str(token), "AWS_REGION": "us-east-1"}
    return Row(
        name="aws_irsa",
        provider="bedrock",
        options=_identity("aws"),
        machine=SimulatedMachine(_POD | named | {"AWS_ENDPOINT_URL_STS": sts.url}),
        services=[sts],
        live=_life_of(sts),
    )


def _container(street: Street) -> Row:
    agent = street.started(ContainerCredentials())
    names = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN")
    return Row(
        name="aws_container",
        provider="bedrock",
        options=_identity("aws"),
        machine=SimulatedMachine(dict(zip(names, (agent.url + agent.path, str(agent.token)), strict=True))),
        services=[agent],
        live=_life_of(agent),
    )


def _instance_profile(street: Street) -> Row:
    imds = street.started(Imds())
    return Row(
        name="aws_imds",
        provider="bedrock",
        options=_identity("aws"),
        machine=SimulatedMachine({"AWS_EC2_METADATA_SERVICE_ENDPOINT": imds.url}),
        services=[imds],
        live=_life_of(imds),
    )


def _role_on_top(street: Street) -> Row:
    """The identity below the role is a function's, which lies in the environment; what fails is the role."""
    sts = street.started(Sts({_GUEST: StsRole(roles=["function"], external_id="tenant-7")}))
    keys = sts.keys_for("function")
    function = {
        "AWS_LAMBDA_FUNCTION_NAME": "proxy",
        "AWS_ACCESS_KEY_ID": keys.access_key_id,
        "AWS_SECRET_ACCESS_KEY": keys.secret_access_key,
        "AWS_SESSION_TOKEN": str(keys.session_token),
    }
    return Row(
        name="aws_role_on_top",
        provider="bedrock",
        options=_identity("aws", role_arn=_GUEST, external_id="tenant-7"),
        machine=SimulatedMachine(function | {"AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL_STS": sts.url}),
        services=[sts],
        live=_life_of(sts),
    )


# ---- Azure ---------------------------------------------------------------------------------------------------------


def _azure_federation(street: Street) -> Row:
    entra, folder = street.started(EntraEmulator()), street.folder("azure_federation")
    (folder / "token").write_text(cluster_token())
    named = {"AZURE_FEDERATED_TOKEN_FILE": str(folder / "token"), "AZURE_CLIENT_ID": CLIENT, "AZURE_TENANT_ID": TENANT}
    return Row(
        name="azure_federation",
        provider="azure",
        options=_identity("azure"),
        machine=SimulatedMachine(_POD | named),
        outbound=reaching(folder, entra),
        services=[entra],
        live=_life_of(entra),
    )


def _azure_imds(street: Street) -> Row:
    imds = street.started(ImdsEmulator())
    return Row(
        name="azure_imds",
        provider="azure",
        options=_identity("azure"),
        machine=SimulatedMachine({}),
        outbound=Outbound(resolve={"169.254.169.254": HostPort("127.0.0.1", imds.port)}),
        platform=Platform(name="azure", machine="azure", settled=True),
        services=[imds],
        live=_life_of(imds),
        environ={},
    )


def _azure_app_service(street: Street) -> Row:
    app = street.started(AppServiceEmulator())
    environ = {"IDENTITY_ENDPOINT": app.endpoint, "IDENTITY_HEADER": HEADER}
    return Row(
        name="azure_app_service",
        provider="azure",
        options=_identity("azure"),
        machine=SimulatedMachine(environ),
        services=[app],
        live=_life_of(app),
        environ=environ,
    )


_APPLICATION = {"AZURE_TENANT_ID": TENANT, "AZURE_CLIENT_ID": CLIENT, "AZURE_CLIENT_SECRET": SECRET}


def _entra_application(street: Street) -> Row:
    entra = street.started(EntraEmulator())
    return Row(
        name="entra_application",
        provider="azure",
        options=_written(type="environment"),
        machine=SimulatedMachine(_APPLICATION),
        outbound=reaching(street.folder("entra_application"), entra),
        services=[entra],
        live=_life_of(entra),
    )


# ---- Google --------------------------------------------------------------------------------------------------------


def _gcp_metadata(street: Street) -> Row:
    metadata = street.started(GcpMetadata())

    def live(seconds: int) -> None:
        metadata.directory.life = seconds
        metadata.forget()

    return Row(
        name="gcp_metadata",
        provider="vertex",
        options=_identity("gcp"),
        machine=SimulatedMachine(metadata.environ),
        services=[metadata],
        live=live,
    )


def _gcp_federation(street: Street) -> Row:
    tokens = street.started(GoogleTokens())
    file = external_account_file({"file": "/token"})
    return Row(
        name="gcp_federation",
        provider="vertex",
        options=_identity("gcp"),
        machine=SimulatedMachine(
            {"GOOGLE_APPLICATION_CREDENTIALS": "/google.json"},
            {"/google.json": json.dumps(file), "/token": tokens.directory.subject_token()},
        ),
        outbound=leading(street.folder("gcp_federation"), tokens),
        services=[tokens],
        live=_life_of(tokens.directory),
    )


def _google_account(street: Street) -> Row:
    tokens = street.started(GoogleTokens())
    return Row(
        name="google_account",
        provider="vertex",
        options=_written(type="environment"),
        machine=SimulatedMachine(
            {"GOOGLE_APPLICATION_CREDENTIALS": "/google.json"}, {"/google.json": json.dumps(service_account_file())}
        ),
        outbound=leading(street.folder("google_account"), tokens),
        services=[tokens],
        live=_life_of(tokens.directory),
    )


# ---- Oracle --------------------------------------------------------------------------------------------------------


def _oci_instance(street: Street, name: str, broken: type[Service]) -> Row:
    realm = Realm()
    metadata, federation = street.started(OciMetadata(realm)), street.started(OciFederation(realm))
    host = f"auth.{metadata.info['regionIdentifier']}.{metadata.info['realmDomainComponent']}"
    ca_file = federation.write_ca(street.folder(name))
    both: Sequence[Service] = (metadata, federation)
    return Row(
        name=name,
        provider="oracle",
        options=_identity("oci"),
        machine=SimulatedMachine({"OCI_METADATA_BASE_URL": metadata.base_url}),
        outbound=Outbound(ca_file=ca_file, resolve={host: HostPort("127.0.0.1", federation.port)}),
        services=[service for service in both if isinstance(service, broken)],
        others=[service for service in both if not isinstance(service, broken)],
        live=_life_of(realm),
    )


def _oci_metadata(street: Street) -> Row:
    return _oci_instance(street, "oci_instance_metadata", OciMetadata)


def _oci_federation(street: Street) -> Row:
    return _oci_instance(street, "oci_instance_federation", OciFederation)


def _oke(street: Street) -> Row:
    realm = Realm()
    oke = street.started(OkeTokens(realm))
    files = {f"{_SERVICE_ACCOUNT}/token": realm.pod_token(), f"{_SERVICE_ACCOUNT}/ca.crt": oke.pem}
    return Row(
        name="oke",
        provider="oracle",
        options=_identity("oci"),
        machine=SimulatedMachine({"KUBERNETES_SERVICE_HOST": OKE_HOST, "OCI_RESOURCE_PRINCIPAL_VERSION": "2.2"}, files),
        outbound=Outbound(resolve={OKE_HOST: HostPort("127.0.0.1", oke.port)}),
        services=[oke],
        live=_life_of(realm),
    )


# ---- IBM -----------------------------------------------------------------------------------------------------------


def _ibm_way(street: Street, name: str, iam: IbmIamEmulator) -> Outbound:
    return Outbound(ca_file=iam.write_ca(street.folder(name)), resolve={IBM: HostPort("127.0.0.1", iam.port)})


def _ibm_compute_token(street: Street) -> Row:
    iam = street.started(IbmIamEmulator())
    return Row(
        name="ibm_compute_token",
        provider="ibm",
        options=_identity("ibm", profile=iam.account.profile_name),
        machine=SimulatedMachine(_POD, {IN_A_POD[1]: iam.account.compute_token()}),
        outbound=_ibm_way(street, "ibm_compute_token", iam),
        services=[iam],
        live=_life_of(iam.account),
    )


def _ibm_virtual_server(street: Street) -> Row:
    metadata = street.started(IbmMetadataEmulator())
    return Row(
        name="ibm_virtual_server",
        provider="ibm",
        options=_identity("ibm"),
        machine=SimulatedMachine({"IBMCLOUD_CR_VPC_URL": metadata.url}),
        services=[metadata],
        live=_life_of(metadata.account),
    )


def _ibm_api_key(street: Street) -> Row:
    iam = street.started(IbmIamEmulator())
    return Row(
        name="ibm_api_key",
        provider="ibm",
        options=_written(type="environment"),
        machine=SimulatedMachine({"WATSONX_APIKEY": iam.account.api_key}),
        outbound=_ibm_way(street, "ibm_api_key", iam),
        services=[iam],
        live=_life_of(iam.account),
    )


# ---- vaults and clusters -------------------------------------------------------------------------------------------


def _vault(street: Street, name: str) -> tuple[VaultEmulator, SimulatedMachine]:
    """A vault that knows the service account of a pod, and the pod."""
    vault = street.started(VaultEmulator())
    vault.allow("llm", "secret/*", "aws/*")
    vault.kubernetes["llmauth"] = VaultRole(policies=["default", "llm"], ttl=LONG, binds=["llm/llmauth"])
    environ = {"VAULT_ADDR": vault.url, "VAULT_CACERT": str(vault.write_ca(street.folder(name)))}
    return vault, SimulatedMachine(_POD | environ, {f"{_SERVICE_ACCOUNT}/token": vault.service_account("llm/llmauth")})


def _vault_kept(street: Street) -> Row:
    vault, machine = _vault(street, "vault_kept")
    vault.put("secret/llm/openai", {"api_key": _KEY})
    return Row(
        name="vault_kept",
        provider="openai",
        options=_written(type="vault", backend="hashicorp", path="secret/data/llm/openai"),
        machine=machine,
        services=[vault],
    )


def _vault_lent(street: Street) -> Row:
    vault, machine = _vault(street, "vault_lent")

    def live(seconds: int) -> None:
        vault.sts("bedrock-role", ttl=seconds)

    live(LONG)
    return Row(
        name="vault_lent",
        provider="bedrock",
        options=_written(type="vault", backend="hashicorp", path="aws/sts/bedrock-role"),
        machine=machine,
        services=[vault],
        live=live,
    )


def _secrets_manager(street: Street) -> Row:
    keeper = Session().create_client(
        "secretsmanager",
        region_name="us-east-1",
        endpoint_url=street.moto,
        aws_access_key_id="admin",
        aws_secret_access_key="admin",
    )
    keeper.create_secret(Name="llm/openai", SecretString=_KEY)
    front = street.started(Forwarding(street.moto))
    keys = {"AWS_ACCESS_KEY_ID": "AKIDOUTAGE", "AWS_SECRET_ACCESS_KEY": "canary-secret-of-the-identity"}
    return Row(
        name="aws_secrets_manager",
        provider="openai",
        options=_written(type="vault", backend="aws_secrets_manager", secret_name="llm/openai"),
        machine=SimulatedMachine(keys | {"AWS_REGION": "us-east-1"}),
        vaults=VaultsOptions.model_validate({"aws_secrets_manager": {"endpoint_url": front.url}}),
        services=[front],
    )


def _key_vault(street: Street) -> Row:
    entra = street.started(EntraEmulator())
    vault = street.started(KeyVaultEmulator(authority=entra.authority))
    vault.put("openai-key", _KEY)
    return Row(
        name="azure_key_vault",
        provider="openai",
        options=_written(type="vault", backend="azure_key_vault", secret_name="openai-key"),
        machine=SimulatedMachine(_APPLICATION),
        outbound=reaching(street.folder("azure_key_vault"), entra, vault),
        vaults=VaultsOptions.model_validate({"azure_key_vault": {"vault_url": f"https://{KEY_VAULT}"}}),
        services=[vault],
        others=[entra],
    )


def _secret_manager(street: Street) -> Row:
    tokens = street.started(GoogleTokens())
    manager = street.started(SecretManager(tokens.directory, authority=tokens.authority))
    manager.store("openai", _KEY.encode(), reader=ACCOUNT)
    return Row(
        name="gcp_secret_manager",
        provider="openai",
        options=_written(type="vault", backend="gcp_secret_manager", secret_name="openai"),
        machine=SimulatedMachine(
            {"GOOGLE_APPLICATION_CREDENTIALS": "/google.json", "GOOGLE_CLOUD_PROJECT": "llm-project"},
            {"/google.json": json.dumps(service_account_file())},
        ),
        outbound=leading(street.folder("gcp_secret_manager"), tokens, manager),
        services=[manager],
        others=[tokens],
    )


def _kubernetes_secret(street: Street) -> Row:
    api, folder = street.started(KubernetesApi()), street.folder("kubernetes_secret")
    pod = Pod(api, folder)
    api.keep("llmauth", "openai", api_key=_KEY)
    api.allow(pod.user, "get", "secrets", "llmauth", "openai")
    return Row(
        name="kubernetes_secret",
        provider="openai",
        options=_written(type="kubernetes_secret", secret_name="openai"),
        machine=pod.machine,
        services=[api],
    )


ROWS: Sequence[Callable[[Street], Row]] = (
    _irsa,
    _container,
    _instance_profile,
    _role_on_top,
    _azure_federation,
    _azure_imds,
    _azure_app_service,
    _entra_application,
    _gcp_metadata,
    _gcp_federation,
    _google_account,
    _oci_metadata,
    _oci_federation,
    _oke,
    _ibm_compute_token,
    _ibm_virtual_server,
    _ibm_api_key,
    _vault_kept,
    _vault_lent,
    _secrets_manager,
    _key_vault,
    _secret_manager,
    _kubernetes_secret,
)
