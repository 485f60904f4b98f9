"""What replays found, apart from every decision."""
