"""Configuration: YAML files, environment and command line into one frozen `Settings`."""
