"""Events that other systems posted, kept once, sealed."""
