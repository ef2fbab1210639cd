"""Files: checkpoints, run directories, logs and weights of other programs."""
