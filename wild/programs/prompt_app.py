"""prompt_toolkit: a prompt reads a line from a pipe; a child."""

import asyncio

from _child import child
from prompt_toolkit import PromptSession
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput


async def main() -> None:
    with create_pipe_input() as pipe:
        pipe.send_text("hello\n")
        session: PromptSession[str] = PromptSession(input=pipe, output=DummyOutput())
        print(await session.prompt_async(), await child())


asyncio.run(main())
