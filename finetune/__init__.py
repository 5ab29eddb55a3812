"""The house voice: the prompt, its checker, the chat model that training and serving share."""
