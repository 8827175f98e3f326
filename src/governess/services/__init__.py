"""Programs kept alive."""
