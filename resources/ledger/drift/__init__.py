"""Sketches of nights, signals made of them, trainings asked for."""
