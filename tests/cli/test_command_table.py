"""The table of commands: every row fits the function that it names."""

from __future__ import annotations

import argparse
import inspect

import pytest

from isnet.cli.command_table import COMMANDS
from isnet.cli.dispatch import Command


@pytest.mark.parametrize("command", COMMANDS, ids=[command.name for command in COMMANDS])
def test_the_function_of_a_command_takes_its_options(command: Command) -> None:
    parser = argparse.ArgumentParser()
    options = [
        parser.add_argument(*names, **settings).dest for names, settings in command.arguments
    ]
    if command.is_run_stage:
        options += ["arguments", "stop_request"]
    signature = inspect.signature(command.load_function())
    signature.bind(*["a plan"] * command.plan, **dict.fromkeys(options))
