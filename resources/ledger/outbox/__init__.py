"""Actions that are to happen once: put in with decisions, leased, settled, held, delivered again."""
