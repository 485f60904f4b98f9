"""Quality: sketches of nights, the signals made of them, and what they asked for."""
