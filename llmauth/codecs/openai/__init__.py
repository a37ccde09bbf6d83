"""OpenAI's protocol, spoken by clients and providers."""
