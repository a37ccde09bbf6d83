"""The six routers: each answers one question about a request, and says why."""
