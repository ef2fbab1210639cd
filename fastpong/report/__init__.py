"""The report of a run: one HTML file with all that there is to see of it."""
