"""The client stacks of this machine: each asks for our page through the proxy, as `llmauth run` would have it."""
