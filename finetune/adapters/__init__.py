"""Adapters: their files, their registry, and bringing them into memory."""
