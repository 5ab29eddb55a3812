"""The teachers: chunks to question-answer pairs."""
