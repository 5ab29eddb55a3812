"""Which pairs are tuned on, and the rows they become."""
