"""What the edges record: Prometheus metrics and log lines."""
