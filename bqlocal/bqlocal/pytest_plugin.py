"""The pytest plugin: a fixture with an emulator that all tests of a session share."""
