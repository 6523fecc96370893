"""Real servers, found without being installed and started for one test alone."""
