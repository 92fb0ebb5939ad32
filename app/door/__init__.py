"""The door of the API and of serving: who may ask, by which name, from which page, how much, and for how long."""
