"""What is recorded of answers: drift, history, metrics."""
