"""The Q-learning agent: settings, playing, replay buffer and learner."""
