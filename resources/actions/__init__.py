"""Effects outside: the outbox that holds them, the dispatcher that sends them, the destinations that take them."""
