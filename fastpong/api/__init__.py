"""fastpong in scripts and notebooks: policies for other loops, training, evaluation."""
