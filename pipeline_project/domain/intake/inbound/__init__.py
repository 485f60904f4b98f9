"""Events that other systems post: read, placed in a night, admitted like any other row."""
