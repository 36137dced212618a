"""The commands, a module a group; `cli.COMMANDS` names them. Only `console` and `logs` ever load a screen."""
