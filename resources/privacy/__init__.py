"""The keys of subjects, and the lake that lets personal values in and out only sealed."""
