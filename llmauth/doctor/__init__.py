"""What `llmauth doctor` looks at: one examination a file, each of which says what it found, and what mends it."""
