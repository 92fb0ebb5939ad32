"""Tasks: what a model can be trained to do. One object knows all that is particular to its task."""
