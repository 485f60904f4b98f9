"""What nights were like, in counts that merge, and the signals that ask for a training."""
