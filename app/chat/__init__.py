"""The chat: how it goes, what it shows, what is kept of it."""
