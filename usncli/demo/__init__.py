"""The whole chain on embedded data, by the commands that a user would type."""

from usncli.demo.run import DemoResult, run_demo

__all__ = ["DemoResult", "run_demo"]
