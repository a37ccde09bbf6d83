"""How a workload identity is called: by its cloud, unless that is the one we are on."""

from __future__ import annotations

from llmauth.platform import Cloud, Platform


def label_of(cloud: Cloud, platform: Platform) -> str:
    """`workload_identity` on the cloud's own platforms, `workload_identity (aws)` elsewhere."""
    return "workload_identity" if platform.cloud == cloud else f"workload_identity ({cloud})"
