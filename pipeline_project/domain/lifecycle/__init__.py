"""How a model comes to decide and stops: terms, gates, proposals, promotion."""
