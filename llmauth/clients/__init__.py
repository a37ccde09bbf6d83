"""What programs of a caller need in order to reach a proxy: variables, certificates, and the proxy that was joined."""
