"""What is known of jobs, and what follows from what happens to them: records, decisions, and their one store."""
