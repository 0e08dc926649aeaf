"""The C core: one extension module per part, loaded by name. Nothing is imported here."""
