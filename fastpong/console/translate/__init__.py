"""Cartridges as machine code, made by LLVM where they are played. See ``translation.attach``."""
