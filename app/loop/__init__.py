"""From documents and what people say to the next adapter."""
