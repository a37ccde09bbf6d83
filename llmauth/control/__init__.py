"""What an operator may ask a running proxy: over a socket in its own state folder, which no caller can reach."""
