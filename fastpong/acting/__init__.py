"""Playing: an episode, a rollout of several environments, and the buffers they fill."""
