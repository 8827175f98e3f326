"""A release: what is published is built, checked and tried out, and then tagged."""
