"""The lake: Delta tables by workflow and asset, a night replaced whole in one commit, personal values sealed."""
