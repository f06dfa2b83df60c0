"""The web site of the emulated v0: chat pages, previews and screenshots of generated apps."""
