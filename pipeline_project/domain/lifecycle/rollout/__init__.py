"""A model in its first nights: shadow, canary, and the watch over what was promised of it."""
