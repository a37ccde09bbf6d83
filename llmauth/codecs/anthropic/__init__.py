"""Anthropic's Messages protocol, spoken by clients and providers."""
