"""A workload identity names its cloud, unless that is where we are."""

import pytest

from llmauth.credentials.workload_identity.label import label_of
from llmauth.platform import Platform


@pytest.mark.parametrize(
    ("name", "label"),
    [("eks", "workload_identity"), ("ec2", "workload_identity"), ("aks", "workload_identity (aws)")],
)
def test_the_label(name, label):
    assert label_of("aws", Platform(name=name)) == label
    assert label_of("aws", Platform()) == "workload_identity (aws)"
