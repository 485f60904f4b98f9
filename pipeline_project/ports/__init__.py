"""The Protocols by which everything else asks of the outside: what stores, registries and sources promise.

Signatures only. Imports the domain's values and the spec; resources implement them, services and assets take them.
"""
