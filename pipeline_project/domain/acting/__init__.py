"""What is done outside about a decision: which actions, under which keys, in which order, how patiently."""
