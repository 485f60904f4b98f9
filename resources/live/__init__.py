"""The ledger's side of a model that decides: rollouts, the watch, and what was taken back."""
