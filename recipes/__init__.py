"""Recipes: shell scripts, settings and results, and `recipes.rendering`, which writes the pages of results."""
