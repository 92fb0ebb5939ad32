"""What is asked of serving over HTTP."""
