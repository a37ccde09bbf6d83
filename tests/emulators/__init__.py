"""Strict stand-ins, on loopback, for the services that credentials are asked of; README.md says what each checks."""
