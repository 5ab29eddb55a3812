"""Chunks in, an index out; a question in, passages out. Knows nothing of answers."""
