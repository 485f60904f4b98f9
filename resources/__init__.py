"""The only doors to the outside: lake, ledger, registry, encoders, contracts, sources."""
