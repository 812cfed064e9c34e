"""What tests/slurm tells pytest."""


def pytest_configure(config):
    """Name the marker by which a test says which scenarios it looks at."""
    config.addinivalue_line("markers", "scenarios(*names): campaigns that must have been run")
