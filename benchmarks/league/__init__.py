"""What a user could train instead, at equal minutes (docs/recipes.md)."""
