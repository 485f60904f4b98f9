"""What other systems post: events read, checked and put in their night; no network, database or clock."""
