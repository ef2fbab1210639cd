"""Settings: fields that know their help and bounds, and the configuration of a run."""
