"""Past nights decided again, as they were known then: what would have changed in money, load and error."""
