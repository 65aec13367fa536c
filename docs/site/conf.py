"""Settings of Sphinx, which turns the staged pages into HTML; see build_site.py."""

project = "usncli"
author = "The usncli authors"
extensions = ["myst_parser"]
myst_heading_anchors = 4  # as hosts of Markdown make them
suppress_warnings = ["myst.header"]  # a page may go from its title to small headings
smartquotes = False  # -- begins a flag
html_theme = "furo"
html_title = "usncli"
html_copy_source = False
html_show_sourcelink = False
html_extra_path = ["usn.schema.json"]
