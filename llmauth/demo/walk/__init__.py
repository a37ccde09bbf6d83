"""`llmauth demo`: a real gateway before the emulated providers, real SDKs that call through it, and the proof of both."""
