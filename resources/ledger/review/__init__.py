"""Review tasks, answers, four eyes and the clock: people deciding, kept by the database."""
