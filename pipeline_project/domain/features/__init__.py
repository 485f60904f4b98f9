"""What a model sees of a case, as known when the case's own night began."""
