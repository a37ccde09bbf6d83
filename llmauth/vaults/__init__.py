"""Vault backends: where secrets are kept and asked for by reference."""
