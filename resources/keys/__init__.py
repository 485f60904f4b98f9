"""Keys in files: subjects' master keys, what signs checkpoints and actions."""
