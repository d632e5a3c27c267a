"""The model that ships with genzo, and the recipe that made it."""
