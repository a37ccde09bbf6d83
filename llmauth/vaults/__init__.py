"""Where secrets are kept for many: one file a product, and the section of the configuration for how it is met."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast, get_args

from llmauth.vaults.aws_secrets_manager import AwsSecretsManager, AwsSecretsManagerOptions
from llmauth.vaults.azure_key_vault import AzureKeyVault, AzureKeyVaultOptions
from llmauth.vaults.base import BackendName, VaultBackend, VaultOptions, VaultSurroundings
from llmauth.vaults.gcp_secret_manager import GcpSecretManager, GcpSecretManagerOptions
from llmauth.vaults.hashicorp import Hashicorp, HashicorpOptions

BACKENDS: tuple[BackendName, ...] = get_args(BackendName)


class VaultsOptions(VaultOptions):
    """The section `vaults`: connection facts, shared by all strategies of type `vault`."""

    hashicorp: HashicorpOptions = HashicorpOptions()
    aws_secrets_manager: AwsSecretsManagerOptions = AwsSecretsManagerOptions()
    azure_key_vault: AzureKeyVaultOptions = AzureKeyVaultOptions()
    gcp_secret_manager: GcpSecretManagerOptions = GcpSecretManagerOptions()


def build(options: VaultsOptions, surroundings: VaultSurroundings) -> Mapping[BackendName, VaultBackend]:
    """Every backend; one that is not configured says so when it is asked."""
    backends = {
        "hashicorp": Hashicorp(options.hashicorp, surroundings),
        "aws_secrets_manager": AwsSecretsManager(options.aws_secrets_manager, surroundings),
        "azure_key_vault": AzureKeyVault(options.azure_key_vault, surroundings),
        "gcp_secret_manager": GcpSecretManager(options.gcp_secret_manager, surroundings),
    }
    return cast(Mapping[BackendName, VaultBackend], backends)
