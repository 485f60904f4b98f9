"""What assets, commands and the desk all do, from ports alone: a night's context, candidates, clearance, past nights.

No Dagster and no concrete store; assets call it and add metadata.
"""
