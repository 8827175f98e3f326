"""Other packages' own tests of child processes, run in governess's loops (`make peers`)."""
