"""What `make lint` asks of the house beyond ruff, mypy and import-linter."""
