"""Reference tables beside the cases: what is kept of one, and which of its rows is a case's."""
