"""Wire formats: today how each protocol says no; requests, answers and streams grow beside it."""
