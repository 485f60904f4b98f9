"""Which cases are alike, under names that last, and which new cluster grows as an arranged one would."""
