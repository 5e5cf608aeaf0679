"""What batch statistics do to γ: where it stops, the loss, and the decay that they are worth."""
