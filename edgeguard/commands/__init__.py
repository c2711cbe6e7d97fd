"""The subcommands of `edgeguard`, a module each; thin coats over the library."""
