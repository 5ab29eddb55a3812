"""The HTTP API: OpenAI-compatible answers, search, keys, figures."""
