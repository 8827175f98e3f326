"""`governess run`: run many commands at once."""
