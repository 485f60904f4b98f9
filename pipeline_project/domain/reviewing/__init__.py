"""People deciding: what a task shows, which comes next, when it is due, when one answer may stand for many."""
