"""`governess run`: many commands at once."""
