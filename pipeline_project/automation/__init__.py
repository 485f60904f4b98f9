"""Jobs, schedules and sensors: they decide when, and never compute."""
