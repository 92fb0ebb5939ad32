"""Golden figures of one tiny pipeline per task, recorded once and compared ever after."""
