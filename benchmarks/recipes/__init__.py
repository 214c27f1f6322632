"""Recipes side by side on folds of small datasets (docs/recipes.md)."""
