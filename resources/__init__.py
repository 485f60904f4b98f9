"""One folder for each thing outside: what it is to the house stands in ports, how it is reached stands here."""
