"""Where a Secret of Kubernetes is read: mounted, by the API from inside a pod, or by a kubeconfig outside of one."""
