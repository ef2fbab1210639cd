"""Karpathy's agent: REINFORCE with one hidden layer."""
