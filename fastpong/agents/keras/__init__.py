"""The Keras reference's agent: REINFORCE with a small convolutional network."""
