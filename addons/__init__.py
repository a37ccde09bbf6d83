"""The mitmproxy side of the gateway: the one package that imports mitmproxy, and decides nothing itself."""
