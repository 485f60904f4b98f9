"""What the `pipeline` command does, one module a command; `cli.py` only lists them."""
