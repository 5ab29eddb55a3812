"""Recipes and runs: tuning and preference tuning."""
