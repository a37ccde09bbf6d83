"""WebSocket (RFC 6455): the handshake that opens one, and the edges of its frames; what they carry is nobody's here."""
