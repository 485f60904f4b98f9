"""An independent checker: reads sources, lake, ledger, deliveries and chain by itself and says what does not add up.

It shares no code with what it checks, on purpose: it imports nothing else of the project (import-linter sees to that),
so that a mistake in how rows are split, read, counted or hashed is not made here a second time. It changes nothing.
"""
