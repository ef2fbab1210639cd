"""The Keras reference's agent: REINFORCE with a convolution."""
