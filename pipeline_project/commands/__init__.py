"""What is called from a shell: one module a command (or group of commands), under its own name, with its Typer app.

A module holds what the command takes, what it prints and its exit codes; the work is in `services` and `operations`.
Each is listed in `cli.py`, which imports one only when it is called. What several share is in `shared`.
"""
