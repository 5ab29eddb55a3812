"""The help desk's workplace."""
