"""`governess up`, and the commands that talk to it."""
