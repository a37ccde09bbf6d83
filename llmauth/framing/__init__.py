"""Messages inside a body: where each one ends, however the bytes were split."""
