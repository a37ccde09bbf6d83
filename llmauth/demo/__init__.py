"""Provider emulators on loopback, strict about what they accept, for the demo, the tests and the benchmark.

They import nothing of the gateway that they judge, so that a misunderstanding cannot hide by being on both sides.
"""
