"""`llmauth demo`: a real gateway before emulated providers, real SDKs that call through it, and the proof of both."""
