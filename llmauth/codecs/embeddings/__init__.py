"""Embeddings: OpenAI's format for clients, and those of the providers that have one of their own."""
