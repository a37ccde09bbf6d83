"""Tokens out of every passing answer, without touching a byte of it."""
