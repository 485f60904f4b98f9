"""Carrying a house elsewhere: databases, lake, models and pages as one point, its keys apart from them."""
