"""One neutral case per idea; each codec's tests hold that codec's bytes for it."""
