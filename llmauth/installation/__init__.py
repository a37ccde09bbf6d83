"""What is ours on one machine: written by `llmauth init`, and found again by `llmauth uninstall`."""
