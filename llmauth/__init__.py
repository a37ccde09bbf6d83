"""LLM Proxy Auth: knows who calls, decides what they may do, and holds the credential that they do not."""

__version__ = "0.1.0"
