"""The audit chain: facts join it in the transaction that makes them true; checkpoints vouch for it from outside."""
