"""The faces: command line and HTTP. Each translates between people or programs and the library; none decides."""
