"""Where the pages of the nights lie."""
