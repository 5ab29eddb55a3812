"""A question in, a streamed and cited answer out: command line, chat and API."""
