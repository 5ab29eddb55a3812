"""Question to cited answer: search, write, check, decide."""
