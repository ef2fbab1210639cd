"""The actor-critic agent: PPO."""
