"""Small files, written whole and read with care."""
