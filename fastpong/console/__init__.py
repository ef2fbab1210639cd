"""An Atari 2600 of our own: bit for bit ale-py, several times as fast."""
