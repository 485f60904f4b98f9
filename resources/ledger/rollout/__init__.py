"""A model that decides: rollouts, the watch, the way back, and what was recalled."""
