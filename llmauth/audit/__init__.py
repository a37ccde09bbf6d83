"""The proof of what was decided: one record for each decision, in files whose every change is found."""
