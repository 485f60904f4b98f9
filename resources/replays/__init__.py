"""What replays found: rows of their own in the ledger, and a page each."""
