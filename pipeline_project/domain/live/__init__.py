"""While a model decides: shadow and canary, the watch over its errors, and the way back."""
