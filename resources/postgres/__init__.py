"""The three databases: on the embedded server by default, on the user's own where the settings name one."""
