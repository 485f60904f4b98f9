"""The desk where people decide; it comes with the review issue. Nothing imports it yet."""
