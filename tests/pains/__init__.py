"""The pains that people tell of in public, one file each, shown by governess and by its peers (`make pains`)."""
