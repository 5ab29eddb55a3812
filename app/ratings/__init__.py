"""Blinded side-by-side ratings."""
