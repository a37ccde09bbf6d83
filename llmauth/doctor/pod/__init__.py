"""What `llmauth doctor --k8s` looks at besides: the pod, as whom it works, and what it reaches inside the network."""
