"""Fixed lists of questions, as attacks that the engine runs: nothing is searched, and nothing is claimed."""
