"""Sphinx's configuration; `make docs` treats its warnings as errors."""

import sys
from importlib.metadata import version as installed_version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "governess"
author = "the governess authors"
copyright = f"2026, {author}"
version = release = installed_version("governess")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "accessible",
    "command_help",
    "inline_svg",
    "readable_signatures",
    "stacked_tables",
]
exclude_patterns = ["_build", "performance", "terminal", "pictures"]  # what other pages include
html_theme = "furo"
html_title = f"governess {release}"
html_static_path = ["_static"]
html_css_files = ["governess.css"]
html_theme_options = {"navigation_with_keys": False}

# Only what is typed is copied, without the prompt and the output; `>` continues a here-document.
copybutton_prompt_text = r"\$ |> ?"
copybutton_prompt_is_regexp = True
copybutton_here_doc_delimiter = "END"
copybutton_line_continuation_character = "\\"

# In a docstring, `Exit` is a link and `pid`, an argument, is not.
default_role = "py:obj"

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

toc_object_entries_show_parents = "hide"  # the levels show them
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True  # `stdin=DEVNULL`, not what it is when the page is built
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
napoleon_numpy_docstring = False

# The build needs no network, so what stands in other projects' documentation is not linked.
nitpick_ignore_regex = [
    (
        "py:.*",
        r"(asyncio|collections|concurrent|contextvars|io|os|pathlib|re|resource|signal|subprocess|types|typing)\..*",
    ),
    ("py:.*", r"(bool|bytes|int|float|str|list|dict|tuple|set|frozenset|type|object|None|Callable|Any)"),
    ("py:obj", r".*"),  # see default_role
    ("py:exc", r"[A-Z]\w*(Error|Warning|Exception|Interrupt)"),
    (
        "py:.*",
        r"(.*\.)?(_[A-Za-z]\w*|\w*PrivateNames|T|Ts|Item|LoopT|LoopFactory|OutputT|CommandT|ResultT|LoopFuture|MaybeNone|Guard|Spawned)",
    ),  # private names, type variables, aliases
]
