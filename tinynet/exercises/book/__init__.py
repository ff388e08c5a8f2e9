"""The exercises, one file each; the package above says what is in a file."""
