"""Identities that a cloud gives to a workload, so that it holds no secret of its own."""
