"""Measures what the app serves. Nobody below imports this room."""
