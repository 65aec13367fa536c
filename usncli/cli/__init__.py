"""The command line: parses, calls one function, prints, sets the exit code. No maths, and no heavy imports up here."""
