"""What is tried on answers beside the questions: changed facts, planted instructions, general knowledge."""
