"""What releases wrote, kept so that later ones are seen to read it."""
