"""Starts of `governess` that do not import it anew: `server` has imported it, and forks a process for each start.

To start an interpreter and to import the command line takes most of the time of a test that runs `governess` once.
What is started here is a child of the tests all the same, with the descriptors, the folder and the environment that it
was given. Tests of the start itself, and of what an interpreter does at its end, start an interpreter.
"""

from .processes import Forks, Popen
from .starts import Starts

__all__ = ["Forks", "Popen", "Starts"]
