"""How fast and how large the project is on this machine: `make bench` prints it. Nothing here is a test."""
