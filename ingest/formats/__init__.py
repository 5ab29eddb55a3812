"""One parser a format, from bytes to pieces."""
