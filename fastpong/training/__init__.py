"""Training and evaluation, around the update schedule."""
