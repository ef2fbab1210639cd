"""Training and evaluation: the update schedule and all that is wired around it."""
