"""How the process starts, listens, drains and ends."""
