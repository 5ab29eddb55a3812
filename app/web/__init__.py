"""What all pages have in common: frame, markup, guard, line."""
