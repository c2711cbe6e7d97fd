"""The subcommands of `edgeguard`, one module each; thin wrappers around the library."""
