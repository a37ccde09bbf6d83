"""The few layers of mitmproxy that we replace, each for something that no hook can do."""
