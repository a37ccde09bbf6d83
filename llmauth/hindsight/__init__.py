"""What became of requests, for whoever asks later: remembered by the serving process, else read in the audit record."""
