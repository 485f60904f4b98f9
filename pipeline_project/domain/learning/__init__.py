"""What a workflow may learn from: how late outcomes come, which nights are mature, and what forbids a training."""
