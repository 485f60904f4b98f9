"""Challengers that ask to decide, and the signatures that let them."""
