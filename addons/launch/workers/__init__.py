"""Several processes on one port: a parent that starts, watches and drains them, and the workers that serve."""
