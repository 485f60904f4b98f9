"""Jobs of whoever runs the house, over several stores at once: dispatching, retention, deep checks, reconciliation.

They need the concrete stores. Commands, the desk and container import them; assets do not.
"""
