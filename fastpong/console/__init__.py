"""An Atari 2600 of our own."""
