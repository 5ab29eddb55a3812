"""Attacks on a throw-away desk, and what came of them."""
