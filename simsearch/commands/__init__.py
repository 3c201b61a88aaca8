"""The commands, a file for each panel of `simsearch --help`: each parses, makes one call, renders."""
