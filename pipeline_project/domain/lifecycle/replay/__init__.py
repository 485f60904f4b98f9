"""Past nights decided again by a candidate, beside what decided: money, flips, load, slices."""
