"""Personal values: sealed by subject, masked in pages, kept as long as the spec says."""
