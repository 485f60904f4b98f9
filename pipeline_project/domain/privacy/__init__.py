"""Which values are personal, how they are sealed, masked, kept and thrown away."""
